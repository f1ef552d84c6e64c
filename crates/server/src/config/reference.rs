//! Writes `docs/configuration.md` from the table of settings.

use std::fmt::Write as _;

use super::{
    Setting,
    settings::{OTHER_VARIABLES, SETTINGS},
};

const HEAD: &str = "\
<!-- Written from crates/server/src/config/settings.rs by `UPDATE_DOCS=1 cargo test -p roster-server config`. -->

# Configuration

Each setting has a default, and can be set in `roster.toml`, in the environment, or by a flag of `roster serve`.
Flags win over the environment, the environment over the file, the file over the default.

`roster.toml` is read from the working directory if it is there; `--config FILE` (or `ROSTER_CONFIG`) names another,
which must be there. It is plain TOML without sections:

```toml
grpc_addr = \"0.0.0.0:50051\"
database_url = \"sqlite:/var/lib/roster/roster.db\"
log_level = \"info\"
```

The environment variable of a setting is `ROSTER_` and its name in upper case; some have a second name that other
systems use, which `ROSTER_…` overrides. An empty variable counts as not set.

An unknown setting, an unknown variable that starts with `ROSTER_`, or a bad value stops the start with exit code 78
and one line that names the setting, where it came from, and what it takes. `roster doctor` checks all of it without
starting anything.

";

/// The whole page.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| setting | default |\n| --- | --- |\n");
    for setting in SETTINGS {
        let _ = writeln!(page, "| [`{key}`](#{key}) | {} |", default(setting), key = setting.key);
    }
    for setting in SETTINGS {
        section(&mut page, setting);
    }
    page.push_str("\n## Other environment variables\n\n");
    for (name, what) in OTHER_VARIABLES {
        let _ = writeln!(page, "- `{name}`: {what}");
    }
    page.push_str("- `NO_COLOR`: no colours, whatever the terminal can do\n");
    page
}

fn section(page: &mut String, setting: &Setting) {
    let _ = writeln!(page, "\n## {}\n\n{}\n", setting.key, setting.doc);
    let _ = writeln!(page, "- takes: {}", setting.takes());
    let _ = writeln!(page, "- default: {}", default(setting));
    let _ = write!(page, "- environment: `{}`", setting.env_name());
    // The strongest first.
    for name in setting.also_env.iter().rev() {
        let _ = write!(page, ", else `{name}`");
    }
    page.push('\n');
    if let Some(flag) = setting.flag {
        let value = if setting.is_switch() { "" } else { " VALUE" };
        let _ = writeln!(page, "- flag: `--{flag}{value}`");
    }
}

fn default(setting: &Setting) -> String {
    if setting.default.is_some() {
        return setting.default_text(false);
    }
    let quoted = |text: String| if text.is_empty() { "none".to_owned() } else { format!("`{text}`") };
    let (plain, dev) = (setting.default_text(false), setting.default_text(true));
    if plain == dev || setting.is_switch() {
        quoted(plain)
    } else {
        format!("{}, with `--dev` {}", quoted(plain), quoted(dev))
    }
}
