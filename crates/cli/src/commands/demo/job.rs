//! A command of the tour that goes on while others run, as a shell's `&` has it.

use std::io::{self, Write};

use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_local},
};

use crate::{args::Command, commands, context::Context, error::Failure, output::Output};

/// Pieces of text that the tour has not shown yet.
const SAID_MAX: usize = 1_000;

/// The command, what it says, and what ends it.
pub struct Job {
    said: mpsc::Receiver<Vec<u8>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Failure>>,
}

impl Job {
    /// Starts the command over the connection of `context`.
    pub fn start(command: Command, context: &Context) -> Self {
        let (saying, said) = mpsc::channel(SAID_MAX);
        let (stop, stopped) = oneshot::channel();
        let out = Output::tables_into(Box::new(Saying(saying)), context.out.style, context.out.width);
        let mut context = context.beside(out);
        context.stop = Some(stopped);
        let task = spawn_local(async move { commands::call(&command, &mut context).await });
        Self { said, stop, task }
    }

    /// Waits for the next `count` lines. There are fewer only if the command has ended.
    pub async fn lines(&mut self, count: usize) -> String {
        let mut text = Vec::new();
        while text.iter().filter(|byte| **byte == b'\n').count() < count
            && let Some(more) = self.said.recv().await
        {
            text.extend(more);
        }
        String::from_utf8_lossy(&text).trim_end().to_owned()
    }

    /// Asks it to end, and waits until it has; gives what it says to that.
    pub async fn end(mut self) -> Result<String, Failure> {
        // Fails if it has ended already, which its result tells.
        let _ = self.stop.send(());
        self.task.await.map_err(io::Error::other)??;
        self.said.close();
        let mut text = Vec::new();
        while let Some(more) = self.said.recv().await {
            text.extend(more);
        }
        Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
    }
}

/// Hands what is written to the tour.
struct Saying(mpsc::Sender<Vec<u8>>);

impl Write for Saying {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_send(bytes.to_vec()).map(|()| bytes.len()).map_err(io::Error::other)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
