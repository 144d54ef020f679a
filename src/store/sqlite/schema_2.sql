-- What an operator's map makes of events: few and short values by name. Only incidents that have some have rows here.
CREATE TABLE field (
    seq   INTEGER NOT NULL, -- of the incident, whose checksum covers them too
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (seq, name)
) STRICT, WITHOUT ROWID;

-- Ends with the primary key, so that the newest incidents with a value are a range of it.
CREATE INDEX field_by_value ON field (name, value);

-- The view as it was, and fields.
DROP VIEW incidents;
CREATE VIEW incidents AS
SELECT i.seq,
       printf('%08x-%04x-7%03x-%04x-%012x',
              i.seq >> 31, (i.seq >> 15) & 0xffff, (i.seq >> 3) & 0xfff,
              0x8000 | ((i.seq & 7) << 11) | (i.tail >> 48), i.tail & 0xffffffffffff) AS id,
       n.name AS instance,
       i.name,
       i.type,
       coalesce(i.occurred, strftime('%Y-%m-%dT%H:%M:%fZ', i.created / 1000.0, 'unixepoch')) AS occurred,
       strftime('%Y-%m-%dT%H:%M:%fZ', i.created / 1000.0, 'unixepoch') AS created,
       CAST(i.raw AS TEXT) AS raw,
       coalesce(i.headers, h.headers) AS headers,
       coalesce(r.count, 0) AS repeats,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.last_seen / 1000.0, 'unixepoch') AS last_seen,
       (SELECT json_group_object(f.name, f.value) FROM field f WHERE f.seq = i.seq) AS fields
FROM incident i
LEFT JOIN instance n ON n.id = i.instance
LEFT JOIN incident h ON h.seq = i.request
LEFT JOIN repeat r ON r.seq = i.seq;
