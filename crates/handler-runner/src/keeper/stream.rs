//! A pipe from the handler, read without ever waiting for it.

use std::io;
use std::os::fd::OwnedFd;

use crate::capture::Kept;
use crate::slot::Spec;

/// One read takes at most so many bytes: as much as a pipe holds.
pub(super) const CHUNK: usize = 64 * 1024;

/// A pipe until its end has been read, and what is kept of what came through.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) pipe: Option<OwnedFd>,
    pub(super) kept: Kept,
}

impl Stream {
    pub(super) fn new(pipe: Option<OwnedFd>, spec: &Spec) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            let flags = rustix::fs::fcntl_getfl(pipe)?;
            rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK)?;
        }
        Ok(Self { pipe, kept: Kept::new(spec.head_characters, spec.tail_characters) })
    }

    /// Reads once, if there is something. At the end of the stream the pipe is let go.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => self.pipe = None,
            Ok(read) => self.kept.push(&buffer[..read]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reads what a full pipe can hold, and no more: whoever still writes must not keep the ending from being told.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..16 {
            self.read(buffer)?;
        }
        Ok(())
    }
}
