// A webhook receiver as one would write it with Node alone: parse, compare credentials in constant time, insert durably, answer.

import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import Database from "better-sqlite3";

const { PORT, BENCH_USER, BENCH_PASSWORD, STORE } = process.env;
const digest = (text) => createHash("sha256").update(text).digest();
const login = digest("Basic " + Buffer.from(`${BENCH_USER}:${BENCH_PASSWORD}`).toString("base64"));

const store = STORE ? openStore(STORE) : null;

function openStore(path) {
  const db = new Database(path);
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.exec("CREATE TABLE IF NOT EXISTS incident (seq INTEGER PRIMARY KEY, id TEXT, instance TEXT, name TEXT, type TEXT, occurred TEXT, created TEXT, raw TEXT)");
  const insert = db.prepare("INSERT INTO incident (id, instance, name, type, occurred, created, raw) VALUES (?, 'bench', ?, ?, ?, ?, ?)");
  return db.transaction((rows) => rows.forEach((row) => insert.run(row.id, row.name, row.type, row.occurred, row.created, row.raw)));
}

function incidentOf(event, headers, now) {
  const raw = event.rawJson ?? event;
  raw.headers = headers;
  return {
    id: randomUUID(),
    name: event.name || "Generic webhook triggered incident",
    type: event.type ?? null,
    occurred: event.occurred ?? now,
    created: now,
    raw: JSON.stringify(raw),
  };
}

function answer(request, body) {
  if (!timingSafeEqual(digest(request.headers.authorization ?? ""), login)) return [401, "Authorization failed."];
  let sent;
  try {
    sent = JSON.parse(body);
  } catch {
    return [400, "not JSON"];
  }
  const { authorization, ...headers } = request.headers;
  const now = new Date().toISOString();
  const rows = (Array.isArray(sent) ? sent : [sent]).map((event) => incidentOf(event, headers, now));
  store?.(rows);
  return [200, JSON.stringify(rows.map(({ raw, ...shown }) => ({ ...shown, instance: "bench" })))];
}

createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const [status, text] = answer(request, Buffer.concat(chunks).toString());
    response.writeHead(status, { "Content-Type": status === 200 ? "application/json" : "text/plain" }).end(text);
  });
})
  // Longer than any measurement: a connection closed in between would count as an error.
  .on("listening", function () { this.keepAliveTimeout = 3600e3; })
  .listen(Number(PORT), "127.0.0.1");
process.on("SIGTERM", () => process.exit());
