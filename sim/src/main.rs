//! The binary `tidegate`: the simulator on the command line.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
