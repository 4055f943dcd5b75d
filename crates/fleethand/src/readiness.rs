//! Waiting for a descriptor of our own to become readable: the pidfd of a keeper, a timer of the kernel. What is
//! then to be read, if anything, is the caller's business.
//!
//! The only unsafe code of the daemon stands here, because the runtime has no safe way to watch a descriptor of
//! a kind that it does not know.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::unix::AsyncFd;

/// A descriptor that the runtime watches.
#[derive(Debug)]
pub(crate) struct Readiness(AsyncFd<OwnedFd>);

impl Readiness {
    /// Begins to watch. Needs a running runtime.
    pub(crate) fn watch(fd: OwnedFd) -> io::Result<Self> {
        #[expect(
            unsafe_code,
            reason = "the safe constructors of the runtime are deprecated, being unsound for other types"
        )]
        // SAFETY: an `OwnedFd` always gives the same descriptor, which is open as long as the value lives; it is
        // moved into the `AsyncFd` here and never taken out again.
        let watched = unsafe { AsyncFd::register(fd) };
        Ok(Self(watched?))
    }

    /// Whether there is something to read, which is left there. Wakes the task that asked last.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        // An error means that the runtime is going down; then it does not matter what is said.
        self.0.poll_read_ready(context).map(drop)
    }

    /// Reads, if there is something. What was there and has been read meanwhile is not waited for by whoever only wants
    /// to look: that is pending, as nothing is.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let Poll::Ready(ready) = self.0.poll_read_ready(context) else { return Poll::Pending };
            let mut ready = match ready {
                Ok(ready) => ready,
                Err(error) => return Poll::Ready(Err(error)),
            };
            // An error means that it is not ready any more: the runtime has been told, and is asked again.
            if let Ok(result) = ready.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?)) {
                return Poll::Ready(result);
            }
        }
    }

    /// Reads, as soon as there is something. Safe to cancel: then nothing has been read.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn a_descriptor_is_readable_when_there_is_something_to_read_and_not_before() {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let readiness = Readiness::watch(read).unwrap();
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(readiness.poll_readable(&mut nobody).is_pending());
        rustix::io::write(&write, b"x").unwrap();
        poll_fn(|context| readiness.poll_readable(context)).await;
        let mut buffer = [0; 8];
        assert_eq!(readiness.read(&mut buffer).await.unwrap(), 1);
        let mut reading = pin!(readiness.read(&mut buffer));
        assert!(reading.as_mut().poll(&mut nobody).is_pending());
    }

    #[tokio::test]
    async fn what_has_been_read_is_not_there_any_more() {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let readiness = Readiness::watch(read).unwrap();
        rustix::io::write(&write, b"x").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(readiness.read(&mut buffer).await.unwrap(), 1);
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(readiness.poll_read(&mut nobody, &mut buffer).is_pending());
    }
}
