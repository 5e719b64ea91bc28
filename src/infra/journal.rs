//! The journal in SQLite: append-only, durable before it returns, the one truth about runs and attempts.

use crate::domain::event::Event;
use crate::engine::ports::{Journal, PortError, PortResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::path::{Path, PathBuf};

/// Version of the tables; a database of a newer one is refused.
const SCHEMA_VERSION: i64 = 1;

/// A journal file of one checkout.
pub struct SqliteJournal {
    connection: Connection,
    path: PathBuf,
}

impl SqliteJournal {
    /// Opens or makes the journal.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or made, is damaged, or was written by a newer version.
    pub fn open(path: &Path) -> PortResult<Self> {
        let failed = explain(path);
        let connection = Connection::open(path).map_err(&failed)?;
        // Full sync: an event that was shown survives a power failure.
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")
            .map_err(&failed)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&failed)?;
        if version > SCHEMA_VERSION {
            return Err(PortError::new(format!("read {}: a newer ralph-sidecar wrote it", path.display()))
                .with_hint("update ralph-sidecar"));
        }
        connection
            .execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;
                 PRAGMA user_version = {SCHEMA_VERSION};"
            ))
            .map_err(&failed)?;
        Ok(Self { connection, path: path.to_path_buf() })
    }

    /// Opens the journal for reading only; none when there is none yet.
    ///
    /// # Errors
    ///
    /// As [`SqliteJournal::open`].
    pub fn open_to_read(path: &Path) -> PortResult<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(explain(path))?;
        connection.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA query_only = ON;").map_err(explain(path))?;
        Ok(Some(Self { connection, path: path.to_path_buf() }))
    }
}

/// Says what a database error means and what to do.
fn explain(path: &Path) -> impl Fn(rusqlite::Error) -> PortError {
    let path = path.display().to_string();
    move |error| {
        let code = error.sqlite_error_code();
        let hint = match code {
            Some(ErrorCode::DiskFull) => "the disk is full; free some space",
            Some(ErrorCode::ReadOnly) => "the disk or the file is read-only; make it writable",
            Some(ErrorCode::CannotOpen) => "check that its folder exists and is yours",
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "the file is damaged; move it away to start anew (the work itself is in refs/ralph)"
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another process holds it; end it",
            _ => "look at the message",
        };
        PortError::new(format!("use the journal {path}: {error}")).with_hint(hint)
    }
}

impl Journal for SqliteJournal {
    fn load(&mut self) -> PortResult<Vec<Event>> {
        let failed = explain(&self.path);
        let mut statement = self.connection.prepare("SELECT seq, body FROM events ORDER BY seq").map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        let mut events = Vec::new();
        while let Some(row) = rows.next().map_err(&failed)? {
            let (seq, body): (i64, String) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
            let event = serde_json::from_str(&body).map_err(|error| {
                PortError::new(format!("understand event {seq} of {}: {error}", self.path.display()))
                    .with_hint("a newer ralph-sidecar wrote it; update")
            })?;
            events.push(event);
        }
        Ok(events)
    }

    fn append(&mut self, events: &[Event]) -> PortResult<u64> {
        let failed = explain(&self.path);
        let transaction = self.connection.transaction().map_err(&failed)?;
        {
            let mut insert = transaction.prepare_cached("INSERT INTO events (body) VALUES (?1)").map_err(&failed)?;
            for event in events {
                let body =
                    serde_json::to_string(event).map_err(|error| PortError::new(format!("write an event: {error}")))?;
                insert.execute(params![body]).map_err(&failed)?;
            }
        }
        let seq = transaction.last_insert_rowid();
        transaction.commit().map_err(&failed)?;
        Ok(seq.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::RunId;

    #[test]
    fn what_was_appended_is_there_after_reopening() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        assert!(SqliteJournal::open_to_read(&path).expect("reads").is_none());
        let paused = Event::RunPaused { run: RunId("r1".into()) };
        let resumed = Event::RunResumed { run: RunId("r1".into()) };
        let mut journal = SqliteJournal::open(&path).expect("opens");
        assert_eq!(journal.append(&[paused.clone(), resumed.clone()]).expect("appends"), 2);
        assert_eq!(journal.append(std::slice::from_ref(&paused)).expect("appends"), 3);
        drop(journal);
        let events = SqliteJournal::open(&path).expect("opens").load().expect("loads");
        assert_eq!(events, [paused.clone(), resumed, paused]);
        assert_eq!(
            SqliteJournal::open_to_read(&path).expect("opens").expect("is there").load().expect("loads"),
            events
        );
    }

    #[test]
    fn damage_and_newer_versions_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        std::fs::write(&path, "this is no database, whatever its name says").expect("writes");
        let error = SqliteJournal::open(&path).err().expect("refuses");
        assert!(error.hint.is_some_and(|hint| hint.contains("damaged")), "{}", error.message);

        let path = folder.path().join("newer.db");
        Connection::open(&path).expect("opens").execute_batch("PRAGMA user_version = 9").expect("sets");
        let error = SqliteJournal::open(&path).err().expect("refuses");
        assert!(error.message.contains("newer"), "{}", error.message);
    }

    #[test]
    fn an_unknown_event_is_not_skipped() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.db");
        let mut journal = SqliteJournal::open(&path).expect("opens");
        journal
            .connection
            .execute("INSERT INTO events (body) VALUES ('{\"event\":\"from_the_future\"}')", [])
            .expect("inserts");
        assert!(journal.load().expect_err("refuses").message.contains("event 1"));
    }
}
