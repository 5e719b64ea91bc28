//! A file of bounded size that keeps the start and the end of an endless output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::infra::durable::{folder_of, sync_dir};

/// Keeps the first `head` bytes in the file itself and the last ones in up to two segments beside it.
///
/// The segments (`.tail` and the full one before it, `.tail-old`) are files, not memory, so that the end of the output
/// is still there when the supervisor is killed; [`join_segments`] puts the pieces together, at the end or after such
/// a death. The disk never holds more than `head` plus twice `tail`.
#[derive(Debug)]
pub struct Transcript {
    path: PathBuf,
    file: File,
    head_left: u64,
    tail: u64,
    segment: Option<(File, u64)>,
    total: u64,
    error: Option<io::Error>,
}

/// What a finished transcript holds.
#[derive(Debug, Default)]
pub struct Summary {
    pub kept: u64,
    pub dropped: u64,
    /// The first error; what came after it was not kept.
    pub error: Option<io::Error>,
}

impl Transcript {
    /// Makes the file, private to the user; an existing one is an error, for transcripts are never overwritten.
    pub fn create(path: &Path, head: u64, tail: u64) -> io::Result<Self> {
        let file = private(path, OpenOptions::new().create_new(true))?;
        sync_dir(folder_of(path))?;
        Ok(Self { path: path.to_path_buf(), file, head_left: head, tail, segment: None, total: 0, error: None })
    }

    /// Takes the next piece of output. An error is remembered and ends the keeping, not the command.
    pub fn write(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        if self.error.is_none() {
            self.error = self.keep(bytes).err();
        }
    }

    /// Joins head and tail, and returns when the file is on stable storage.
    pub fn finish(self) -> Summary {
        let joined = self.file.sync_all().and_then(|()| join_segments(&self.path, self.tail, Some(self.total)));
        match joined {
            Ok(kept) => Summary { kept, dropped: self.total - kept.min(self.total), error: self.error },
            Err(error) => {
                let kept = self.file.metadata().map_or(0, |metadata| metadata.len()).min(self.total);
                Summary { kept, dropped: self.total - kept, error: self.error.or(Some(error)) }
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let head = usize::try_from(self.head_left).unwrap_or(usize::MAX).min(bytes.len());
        let (head, mut rest) = bytes.split_at(head);
        self.file.write_all(head)?;
        self.head_left -= head.len() as u64;
        while !rest.is_empty() && self.tail > 0 {
            if self.segment.as_ref().is_some_and(|(_, size)| *size >= self.tail) {
                fs::rename(beside(&self.path, ".tail"), beside(&self.path, ".tail-old"))?;
                self.segment = None;
            }
            let (file, size) = match &mut self.segment {
                Some(segment) => segment,
                None => {
                    let file = private(&beside(&self.path, ".tail"), OpenOptions::new().create(true).truncate(true))?;
                    self.segment.insert((file, 0))
                }
            };
            let part = usize::try_from(self.tail - *size).unwrap_or(usize::MAX).min(rest.len());
            file.write_all(&rest[..part])?;
            *size += part as u64;
            rest = &rest[part..];
        }
        Ok(())
    }
}

/// Appends what the segments hold to the transcript, after a line that tells how much is missing, and removes them.
///
/// Keeps at most the last `tail` bytes. `total` is how much there was; unknown after the death of a supervisor.
/// Returns how many bytes of output the transcript holds. Does nothing when nothing is missing and there are no segments.
///
/// Killed in between, it can leave a transcript whose end is there twice, never one from which something is missing.
pub fn join_segments(path: &Path, tail: u64, total: Option<u64>) -> io::Result<u64> {
    let (older, newer) = (beside(path, ".tail-old"), beside(path, ".tail"));
    let mut head = OpenOptions::new().append(true).open(path)?;
    let head_size = head.metadata()?.len();
    let (old_size, new_size) = (size_of(&older)?, size_of(&newer)?);
    if old_size.is_none() && new_size.is_none() && total.is_none_or(|total| total <= head_size) {
        return Ok(head_size);
    }
    let (old_size, new_size) = (old_size.unwrap_or(0), new_size.unwrap_or(0));
    let kept = (old_size + new_size).min(tail);
    let skip = old_size + new_size - kept;
    let dropped = total.map(|total| total.saturating_sub(head_size + kept));
    let told = match dropped {
        Some(0) => String::new(),
        Some(dropped) => format!("\n[ralph: {dropped} bytes of output were dropped here]\n"),
        None => "\n[ralph: an unknown number of bytes of output may be missing here]\n".to_owned(),
    };
    head.write_all(told.as_bytes())?;
    copy_from(&older, skip.min(old_size), &mut head)?;
    copy_from(&newer, skip.saturating_sub(old_size), &mut head)?;
    head.sync_all()?;
    for segment in [older, newer] {
        match fs::remove_file(segment) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_dir(folder_of(path))?;
    Ok(head_size + kept)
}

fn private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.write(true).mode(0o600).open(path)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn size_of(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn copy_from(path: &Path, from: u64, to: &mut File) -> io::Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(from))?;
    io::copy(&mut file, to).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(head: u64, tail: u64, pieces: &[Vec<u8>]) -> (Vec<u8>, Summary, usize) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("transcript");
        let mut transcript = Transcript::create(&path, head, tail).expect("made");
        for piece in pieces {
            transcript.write(piece);
        }
        let summary = transcript.finish();
        (fs::read(&path).expect("read"), summary, fs::read_dir(folder.path()).expect("listed").count())
    }

    #[test]
    fn tells_what_is_missing() {
        let (text, summary, files) = run(3, 4, &[b"abcdef".to_vec(), b"ghijklmnop".to_vec()]);
        assert_eq!(text, b"abc\n[ralph: 9 bytes of output were dropped here]\nmnop");
        assert_eq!((summary.kept, summary.dropped, files), (7, 9, 1));
    }

    #[test]
    fn an_existing_transcript_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("transcript");
        fs::write(&path, "kept").expect("written");
        assert_eq!(Transcript::create(&path, 1, 1).expect_err("refused").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).expect("read"), b"kept");
    }

    #[test]
    fn what_a_killed_supervisor_left_is_joined() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("transcript");
        let mut transcript = Transcript::create(&path, 2, 4).expect("made");
        transcript.write(b"abcdefghijk");
        drop(transcript);
        assert_eq!(join_segments(&path, 4, None).expect("joined"), 6);
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.starts_with("ab\n[ralph:") && text.ends_with("\nhijk"), "{text}");
        assert_eq!(join_segments(&path, 4, None).expect("nothing to do"), text.len() as u64);
    }

    proptest! {
        #[test]
        fn keeps_start_and_end(
            head in 0u64..40, tail in 0u64..40, pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..12),
        ) {
            let all = pieces.concat();
            let (text, summary, files) = run(head, tail, &pieces);
            let head = usize::try_from(head).expect("small").min(all.len());
            let tail = usize::try_from(tail).expect("small").min(all.len() - head);
            prop_assert!(summary.error.is_none());
            prop_assert_eq!(files, 1);
            prop_assert_eq!(summary.kept, (head + tail) as u64);
            prop_assert_eq!(summary.dropped, (all.len() - head - tail) as u64);
            prop_assert!(text.starts_with(&all[..head]));
            prop_assert!(text.ends_with(&all[all.len() - tail..]));
            if summary.dropped == 0 {
                prop_assert_eq!(text, all);
            }
        }
    }
}
