//! Output of commands: results to stdout, everything else to stderr. A reader that has gone ends the command.

use std::io::Write;

/// One line of result.
pub fn out(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        leave();
    }
}

/// One line beside the result.
pub fn note(line: &str) {
    // with stderr gone there is nobody left to tell
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// What went wrong.
pub fn error(message: &str) {
    note(&format!("sotto: {message}"));
}

/// Ends at once, without running what the speech threads still use.
pub fn leave() -> ! {
    signal_hook::low_level::exit(0)
}
