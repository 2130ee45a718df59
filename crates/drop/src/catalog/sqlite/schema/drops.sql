-- A drop has one or several files, each with a life of its own. What was one file is a drop of one.

CREATE TABLE drops (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 26),
    rule          TEXT    NOT NULL CHECK (rule IN ('either', 'token', 'address')),
    token_hash    BLOB    NOT NULL CHECK (length(token_hash) = 32),
    salt          BLOB             CHECK (length(salt) = 32),
    uploader      BLOB             CHECK (length(uploader) = 32),
    unknown       INTEGER NOT NULL DEFAULT 0,
    unknown_why   TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE files (
    drop_id       TEXT    NOT NULL REFERENCES drops (id),
    number        INTEGER NOT NULL CHECK (number > 0),
    blob          TEXT    NOT NULL CHECK (length(blob) = 26),
    state         TEXT    NOT NULL CHECK (state IN ('receiving', 'ready', 'collecting', 'delivered',
                                                    'expired', 'withdrawn', 'failed', 'deleted')),
    name          TEXT,
    size          INTEGER NOT NULL DEFAULT 0 CHECK (size >= 0),
    sha256        BLOB                       CHECK (length(sha256) = 32),
    crc32         INTEGER                    CHECK (crc32 BETWEEN 0 AND 4294967295),
    expires_at    INTEGER NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    interrupted   INTEGER NOT NULL DEFAULT 0 CHECK (interrupted >= 0),
    -- The hold; there is one where it names a collection.
    collection    BLOB                       CHECK (length(collection) = 32),
    recipient     BLOB                       CHECK (length(recipient) = 32),
    behind_proxy  INTEGER NOT NULL DEFAULT 0 CHECK (behind_proxy IN (0, 1)),
    lease_until   INTEGER NOT NULL DEFAULT 0,
    covered       TEXT    NOT NULL DEFAULT '',
    granted       TEXT    NOT NULL DEFAULT '',
    unsettled     TEXT    NOT NULL DEFAULT '',
    asked         INTEGER NOT NULL DEFAULT 0 CHECK (asked >= 0),
    charged       INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),
    last_piece    INTEGER NOT NULL DEFAULT 0 CHECK (last_piece IN (0, 1)),
    again_until   INTEGER,
    ending        TEXT                       CHECK (ending IN ('delivered', 'expired', 'withdrawn', 'attempts', 'lost')),
    ended_at      INTEGER,
    PRIMARY KEY (drop_id, number),
    CHECK (state <> 'collecting' OR collection IS NOT NULL),
    CHECK (state NOT IN ('receiving', 'ready', 'collecting') OR name IS NOT NULL),
    CHECK ((state IN ('receiving', 'ready', 'collecting')) = (ending IS NULL)),
    CHECK ((ending IS NULL) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX files_blob ON files (blob);
CREATE INDEX files_waiting    ON files (expires_at)  WHERE state = 'ready';
CREATE INDEX files_collecting ON files (expires_at)  WHERE state = 'collecting';
CREATE INDEX files_leased     ON files (lease_until) WHERE state = 'collecting' AND last_piece = 0;
CREATE INDEX files_uncertain  ON files (expires_at)  WHERE state = 'collecting' AND last_piece = 1;
CREATE INDEX files_receipt    ON files (ended_at)    WHERE state = 'deleted';

INSERT INTO drops (id, rule, token_hash, salt, uploader, unknown, unknown_why)
SELECT id, 'either', token_hash, salt, uploader, unknown, unknown_why FROM file;

-- How much of a file had left was not written down: who was collecting it may have all of it. So it is that recipient's
-- until the owner says otherwise. They are known by the address alone, and so is whoever may have a file again within the
-- grace. The attempt is given back by the start, as after any crash.
INSERT INTO files (drop_id, number, blob, state, name, size, sha256, expires_at, attempts, interrupted,
                   collection, recipient, behind_proxy, lease_until, covered, unsettled, asked, charged, last_piece,
                   again_until, ending, ended_at)
SELECT id, 1, id,
       state,
       iif(ending IS NULL OR again_until IS NOT NULL, coalesce(name, ''), NULL),
       coalesce(size, 0),
       iif(ending IS NULL OR again_until IS NOT NULL, sha256, NULL),
       expires_at,
       attempts,
       interrupted,
       iif(state = 'collecting' OR again_until IS NOT NULL, randomblob(32), NULL),
       iif(state = 'collecting' OR again_until IS NOT NULL, recipient, NULL),
       state = 'collecting' OR again_until IS NOT NULL,
       coalesce(again_until, iif(state = 'collecting', lease_until, 0)),
       iif(again_until IS NULL, '', '0-' || coalesce(size, 0)),
       iif(state = 'collecting', '0-' || coalesce(size, 0), ''),
       iif(state = 'collecting', coalesce(size, 0), 0),
       iif(state = 'collecting', min(attempts, 1), 0),
       state = 'collecting',
       again_until, ending, ended_at
FROM file;

UPDATE drops SET salt = NULL, uploader = NULL
WHERE NOT EXISTS (SELECT 1 FROM files WHERE drop_id = id AND name IS NOT NULL);

ALTER TABLE outbox RENAME TO outbox_of_before;
CREATE TABLE outbox (
    blob TEXT    NOT NULL PRIMARY KEY CHECK (length(blob) = 26),
    due  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (due);
INSERT INTO outbox (blob, due) SELECT file, due FROM outbox_of_before;
DROP TABLE outbox_of_before;
DROP TABLE file;
