-- The instances that ever stored something. Names are compared exactly.
CREATE TABLE instance (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- One row per stored event. `raw` is last, so that looking at the other columns never reads it from its overflow pages.
CREATE TABLE incident (
    seq      INTEGER PRIMARY KEY, -- millisecond of storing << 15 | counter; strictly rising, never used twice
    tail     INTEGER NOT NULL,    -- the random 59 bits that make seq a UUIDv7
    checksum INTEGER NOT NULL,    -- CRC-32 over everything that is read back as this incident
    instance INTEGER NOT NULL,
    created  INTEGER NOT NULL,    -- milliseconds since 1970, UTC; the same for all rows of a request
    request  INTEGER,             -- the first row stored of the same request, which has its headers; NULL: this row has them
    type     TEXT,
    occurred TEXT,                -- RFC 3339; NULL: as created
    name     TEXT NOT NULL,
    headers  TEXT,                -- the request's headers, a JSON object
    raw      BLOB NOT NULL        -- the sender's JSON object, to the byte, without `headers`
) STRICT;

-- Every index ends with seq, so that the newest of an instance or of a type are a range of it.
CREATE INDEX incident_by_instance ON incident (instance);
CREATE INDEX incident_by_type ON incident (type) WHERE type IS NOT NULL;

-- How often the event of an incident came again. No row: never.
CREATE TABLE repeat (
    seq       INTEGER PRIMARY KEY,
    count     INTEGER NOT NULL,
    last_seen INTEGER NOT NULL
) STRICT;

-- The incident that later events with the same key are duplicates of.
CREATE TABLE duplicate (
    instance INTEGER NOT NULL,
    key      BLOB NOT NULL,
    seq      INTEGER NOT NULL,
    tail     INTEGER NOT NULL,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL,    -- created + the window it was stored under; then the row may go
    PRIMARY KEY (instance, key)
) STRICT, WITHOUT ROWID;

-- The last incidents of an instance, for people who write a mapping.
CREATE TABLE sample (
    instance INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (instance, seq)
) STRICT, WITHOUT ROWID;

-- Numbers the store keeps about itself.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What people see: `sqlite3 hookgate.db 'SELECT * FROM incidents ORDER BY seq DESC LIMIT 10'`.
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
       strftime('%Y-%m-%dT%H:%M:%fZ', r.last_seen / 1000.0, 'unixepoch') AS last_seen
FROM incident i
LEFT JOIN instance n ON n.id = i.instance
LEFT JOIN incident h ON h.seq = i.request
LEFT JOIN repeat r ON r.seq = i.seq;
