//! What the database is told, all of it in one place.
//!
//! Invariant: what a request, a sweep or the start asks for again and again is found by an index, so that its cost does
//! not follow the number of rows; a test looks at the plan of each.

/// The file of the drop `?1` with the key `?2`. Drops whose names begin alike have the same keys: so the name is compared.
macro_rules! one {
    () => {
        " WHERE key = ?2 AND drop_id = ?1"
    };
}

/// All files of the drop `?1`; the key before theirs is `?2`.
macro_rules! all {
    () => {
        " WHERE key BETWEEN ?2 AND ?2 + 127 AND drop_id = ?1"
    };
}

/// The columns of a file as [`rows::file`](super::rows::file) reads them.
macro_rules! file {
    () => {
        "number, blob, state, name, size, sha256, crc32, expires_at, attempts, interrupted, collection, recipient, \
         behind_proxy, lease_until, covered, by_word, passages, unsettled, asked, charged, last_piece, again_until, \
         ending, ended_at"
    };
}

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: &str = $sql;)*

        #[cfg(test)]
        const ALL: &[&str] = &[$($name),*];
    };
}

statements! {
    /// The drop's columns come first, and again with each file.
    FIND = concat!(
        "SELECT rule, token_hash, salt, uploader, unknown, unknown_why, ",
        file!(),
        " FROM files",
        all!(),
        " ORDER BY key"
    );
    FILE = concat!("SELECT ", file!(), " FROM files", one!());
    FILES = concat!("SELECT ", file!(), " FROM files", all!(), " ORDER BY key");
    FILE_OF_BLOB = concat!("SELECT drop_id, ", file!(), " FROM files WHERE blob = ?1");

    ANNOUNCE = "INSERT INTO files (drop_id, key, number, rule, token_hash, salt, uploader, blob, state, name, expires_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'receiving', ?9, ?10)";
    COMPLETE = concat!("UPDATE files SET sha256 = ?3, crc32 = ?4", one!());
    OWNED = concat!("UPDATE files SET rule = ?3, uploader = ?4", all!());
    ABANDON = concat!("DELETE FROM files", all!(), " AND state = 'receiving'");
    UNKNOWN = concat!("UPDATE files SET unknown = unknown + 1, unknown_why = ?3", all!());

    /// What `Life` says, all of it.
    LIFE = concat!(
        "UPDATE files SET state = ?3, size = ?4, expires_at = ?5, attempts = ?6, interrupted = ?7, collection = ?8,
        recipient = ?9, behind_proxy = ?10, lease_until = ?11, covered = ?12, by_word = ?13, passages = ?14,
        unsettled = ?15, asked = ?16, charged = ?17, last_piece = ?18, again_until = ?19, ending = ?20, ended_at = ?21",
        one!()
    );
    ERASE_FILE = concat!(
        "UPDATE files SET name = NULL, sha256 = NULL, crc32 = NULL",
        one!(),
        " AND name IS NOT NULL"
    );
    /// What is known of the owner, unless a file of the drop still has something to do with that.
    ERASE_OWNER = concat!(
        "UPDATE files SET salt = NULL, uploader = NULL",
        all!(),
        " AND NOT EXISTS (SELECT 1 FROM files",
        all!(),
        " AND name IS NOT NULL)"
    );
    FORGET = concat!("DELETE FROM files", one!());

    PUT_OUT = "INSERT INTO outbox (blob, due) VALUES (?1, ?2) ON CONFLICT (blob) DO UPDATE SET due = excluded.due";
    TAKE_BACK = "DELETE FROM outbox WHERE blob = ?1";
    POSTPONE = "UPDATE outbox SET due = ?2 WHERE blob = ?1";

    DUE_WAITING = concat!(
        "SELECT drop_id, ", file!(), " FROM files WHERE state = 'ready' AND expires_at <= ?1
         ORDER BY expires_at LIMIT ?2"
    );
    DUE_COLLECTING = concat!(
        "SELECT drop_id, ", file!(), " FROM files WHERE state = 'collecting' AND expires_at <= ?1
         ORDER BY expires_at LIMIT ?2"
    );
    DUE_LEASES = concat!(
        "SELECT drop_id, ", file!(), " FROM files WHERE state = 'collecting' AND last_piece = 0 AND lease_until <= ?1
         ORDER BY lease_until LIMIT ?2"
    );
    LONG_LEASES = concat!(
        "SELECT drop_id, ", file!(), " FROM files WHERE state = 'collecting' AND last_piece = 0 AND lease_until > ?1
         ORDER BY lease_until DESC LIMIT ?2"
    );
    /// Nobody knows whether they have arrived, unless a request is under way.
    DUE_UNCERTAIN = concat!(
        "SELECT drop_id, ", file!(), " FROM files WHERE state = 'collecting' AND last_piece = 1 AND expires_at <= ?1
         ORDER BY expires_at"
    );
    DUE_RECEIPTS = "SELECT drop_id, number FROM files WHERE state = 'deleted' AND ended_at <= ?1
        ORDER BY ended_at LIMIT ?2";
    DUE_OUTBOX = "SELECT blob FROM outbox WHERE due <= ?1 ORDER BY due LIMIT ?2";
    LONG_OUTBOX = "UPDATE outbox SET due = ?1 WHERE due > ?1";

    NEXT_WAITING = "SELECT min(expires_at) FROM files WHERE state = 'ready'";
    NEXT_COLLECTING = "SELECT min(expires_at) FROM files WHERE state = 'collecting'";
    NEXT_LEASE = "SELECT min(lease_until) FROM files WHERE state = 'collecting' AND last_piece = 0";
    NEXT_OUTBOX = "SELECT min(due) FROM outbox";
    NEXT_RECEIPT = "SELECT min(ended_at) FROM files WHERE state = 'deleted'";

    COLLECTING = concat!(
        "SELECT drop_id, ", file!(), " FROM files
         WHERE state = 'collecting' AND (expires_at, key) > (?1, ?2) ORDER BY expires_at, key LIMIT ?3"
    );
    LIST = concat!(
        "SELECT drop_id, ", file!(), " FROM files WHERE key > ?1 ORDER BY key LIMIT ?2"
    );
    STATE_OF_BLOB = "SELECT state FROM files WHERE blob = ?1";
}

/// Walks over everything; for people, not for requests.
pub(super) const CENSUS: &str = "SELECT state, count(*), sum(size) FROM files GROUP BY state";

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::OwnerRule;
    use crate::catalog::sqlite::schema;

    #[test]
    fn each_is_answered_by_an_index() {
        let data = tempfile::tempdir().unwrap();
        let db = schema::writer(&data.path().join("catalog.sqlite"), OwnerRule::Either).unwrap();
        for sql in ALL {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let nothing = vec![None::<i64>; plan.parameter_count()];
            let steps: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(nothing), |row| row.get("detail"))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            for step in &steps {
                assert!(!step.contains("SCAN"), "{sql}\n{steps:#?}");
                assert!(!step.contains("TEMP B-TREE"), "{sql}\n{steps:#?}");
            }
        }
    }

    #[test]
    fn each_is_prepared_once() {
        let data = tempfile::tempdir().unwrap();
        let db = schema::writer(&data.path().join("catalog.sqlite"), OwnerRule::Either).unwrap();
        for sql in ALL {
            for _ in 0..3 {
                let mut statement = db.prepare_cached(sql).unwrap();
                for at in 1..=statement.parameter_count() {
                    statement.raw_bind_parameter(at, "7").unwrap();
                }
                // Whatever comes of it.
                let _ = match statement.readonly() {
                    true => statement.raw_query().next().map(|_| 0),
                    false => statement.raw_execute(),
                };
                assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "{sql}");
            }
        }
    }
}
