//! The program `pausa`.

use std::process::ExitCode;

fn main() -> ExitCode {
    pausa::cli::run()
}
