//! A pipe from the handler, read without ever waiting for it.

use std::io;
use std::os::fd::OwnedFd;

use crate::capture::Kept;
use crate::slot::Spec;

/// One read takes at most so many bytes.
pub(super) const CHUNK: usize = 64 * 1024;

/// A pipe holds so many bytes, if the system allows it: the handler can write while we read.
const PIPE: usize = 4 * CHUNK;

/// So many reads empty a full pipe, however it was written to.
pub(super) const DRAIN: usize = 16;

/// From now on a read of it comes back at once.
pub(super) fn never_wait(pipe: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(pipe)?;
    Ok(rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK)?)
}

/// Reads once; how many bytes, if there were any. At the end of the stream the pipe is let go.
pub(super) fn read_some(pipe: &mut Option<OwnedFd>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let Some(open) = pipe else { return Ok(None) };
    match rustix::io::read(open, &mut *buffer) {
        Ok(0) => {
            *pipe = None;
            Ok(None)
        }
        Ok(read) => Ok(Some(read)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A pipe until its end has been read, and what is kept of what came through.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pipe: Option<OwnedFd>,
    pub(super) kept: Kept,
}

impl Stream {
    pub(super) fn new(pipe: Option<OwnedFd>, spec: &Spec) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            never_wait(pipe)?;
            // Refused where a user's pipes may not hold more (pipe(7)): then it is slower, and no less right.
            let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
        }
        Ok(Self { pipe, kept: Kept::new(spec.head_characters, spec.tail_characters) })
    }

    /// Reads once, if there is something.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if let Some(read) = read_some(&mut self.pipe, buffer)? {
            self.kept.push(&buffer[..read]);
        }
        Ok(())
    }

    /// Reads what a full pipe can hold, and no more: whoever still writes must not keep the ending from being told.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..DRAIN {
            self.read(buffer)?;
        }
        Ok(())
    }
}
