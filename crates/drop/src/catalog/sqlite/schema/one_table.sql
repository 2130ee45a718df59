-- What is known of a drop stands with each of its files: then all that a look needs is on one page. And the files lie by a
-- number that is made of the drop's name and theirs (see FileKey), for a table by name needs more pages for the way.

DROP INDEX files_blob;
DROP INDEX files_waiting;
DROP INDEX files_collecting;
DROP INDEX files_leased;
DROP INDEX files_uncertain;
DROP INDEX files_receipt;
ALTER TABLE files RENAME TO files_of_before;

CREATE TABLE files (
    key           INTEGER NOT NULL PRIMARY KEY,
    drop_id       TEXT    NOT NULL CHECK (length(drop_id) = 26),
    number        INTEGER NOT NULL CHECK (number BETWEEN 1 AND 127 AND number = key & 127),
    -- Of the drop, the same in all its files.
    rule          TEXT    NOT NULL CHECK (rule IN ('either', 'token', 'address')),
    token_hash    BLOB    NOT NULL CHECK (length(token_hash) = 32),
    salt          BLOB             CHECK (length(salt) = 32),
    uploader      BLOB             CHECK (length(uploader) = 32),
    unknown       INTEGER NOT NULL DEFAULT 0,
    unknown_why   TEXT,
    -- Of the file.
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
    by_word       INTEGER NOT NULL DEFAULT 0 CHECK (by_word IN (0, 1)),
    passages      TEXT    NOT NULL DEFAULT '',
    unsettled     TEXT    NOT NULL DEFAULT '',
    asked         INTEGER NOT NULL DEFAULT 0 CHECK (asked >= 0),
    charged       INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),
    last_piece    INTEGER NOT NULL DEFAULT 0 CHECK (last_piece IN (0, 1)),
    again_until   INTEGER,
    ending        TEXT                       CHECK (ending IN ('delivered', 'expired', 'withdrawn', 'attempts', 'lost')),
    ended_at      INTEGER,
    CHECK (state <> 'collecting' OR collection IS NOT NULL),
    CHECK (state NOT IN ('receiving', 'ready', 'collecting') OR name IS NOT NULL),
    CHECK ((state IN ('receiving', 'ready', 'collecting')) = (ending IS NULL)),
    CHECK ((ending IS NULL) = (ended_at IS NULL))
) STRICT;

INSERT INTO files (key, drop_id, number, rule, token_hash, salt, uploader, unknown, unknown_why, blob, state, name, size,
                   sha256, crc32, expires_at, attempts, interrupted, collection, recipient, behind_proxy, lease_until,
                   covered, by_word, passages, unsettled, asked, charged, last_piece, again_until, ending, ended_at)
SELECT ((instr(a, substr(id, 1, 1)) - 1) << 57) + ((instr(a, substr(id, 2, 1)) - 1) << 52)
     + ((instr(a, substr(id, 3, 1)) - 1) << 47) + ((instr(a, substr(id, 4, 1)) - 1) << 42)
     + ((instr(a, substr(id, 5, 1)) - 1) << 37) + ((instr(a, substr(id, 6, 1)) - 1) << 32)
     + ((instr(a, substr(id, 7, 1)) - 1) << 27) + ((instr(a, substr(id, 8, 1)) - 1) << 22)
     + ((instr(a, substr(id, 9, 1)) - 1) << 17) + ((instr(a, substr(id, 10, 1)) - 1) << 12)
     + ((instr(a, substr(id, 11, 1)) - 1) << 7) + number,
       id, number, rule, token_hash, salt, uploader, unknown, unknown_why, blob, state, name, size,
       sha256, crc32, expires_at, attempts, interrupted, collection, recipient, behind_proxy, lease_until,
       covered, by_word, passages, unsettled, asked, charged, last_piece, again_until, ending, ended_at
FROM files_of_before
CROSS JOIN drops ON id = drop_id
CROSS JOIN (SELECT '234567abcdefghijklmnopqrstuvwxyz' AS a)
-- As they lie, and as the keys are ordered: nothing has to be sorted.
ORDER BY drop_id, number;

DROP TABLE files_of_before;
DROP TABLE drops;

CREATE UNIQUE INDEX files_blob ON files (blob);
CREATE INDEX files_waiting    ON files (expires_at)  WHERE state = 'ready';
CREATE INDEX files_collecting ON files (expires_at)  WHERE state = 'collecting';
CREATE INDEX files_leased     ON files (lease_until) WHERE state = 'collecting' AND last_piece = 0;
CREATE INDEX files_uncertain  ON files (expires_at)  WHERE state = 'collecting' AND last_piece = 1;
CREATE INDEX files_receipt    ON files (ended_at)    WHERE state = 'deleted';
