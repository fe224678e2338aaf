-- Deliveries that asked for a request which another had asked for before.
CREATE TABLE repeats (
  request  INTEGER NOT NULL,
  delivery INTEGER NOT NULL,
  PRIMARY KEY (request, delivery)
) STRICT, WITHOUT ROWID;
