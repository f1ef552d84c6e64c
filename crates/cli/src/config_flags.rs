//! The server's flags, made from its table of settings, and the configuration they end up in.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, ArgMatches, Command};
use roster_server::config::{Config, ConfigError, DEFAULT_FILE, Setting, settings::SETTINGS};

use crate::client::any_path;

/// The flags of `roster serve` and `roster doctor`.
#[derive(Clone, Debug, Default)]
pub struct ConfigFlags {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// Settings, by key, with what was given for them.
    pub given: Vec<(&'static str, String)>,
}

impl ConfigFlags {
    /// The file that is read, if there is one.
    pub fn file_name(&self) -> Option<String> {
        let default = || Path::new(DEFAULT_FILE).exists().then(|| DEFAULT_FILE.to_owned());
        self.file.as_ref().map(|path| path.display().to_string()).or_else(default)
    }

    /// The whole configuration: file, environment and these flags.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let file = match &self.file {
            Some(path) => Some((path.display().to_string(), read(path)?)),
            None => match fs::read_to_string(DEFAULT_FILE) {
                Ok(text) => Some((DEFAULT_FILE.to_owned(), text)),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(unreadable(Path::new(DEFAULT_FILE), &error)),
            },
        };
        // What is not UTF-8 keeps its name and fails as a value.
        let env = env::vars_os().map(|(name, value)| (lossy(&name), lossy(&value)));
        let file = file.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        Config::load(file, env, self.given.iter().cloned())
    }

    /// The same for what opens the database itself: where the server listens, and whether it may, is no matter then.
    pub fn load_to_open(&self) -> Result<Config, ConfigError> {
        let mut flags = self.clone();
        flags.given.extend([("grpc_addr", "127.0.0.1:0".to_owned()), ("http_addr", "off".to_owned())]);
        flags.load()
    }
}

fn lossy(text: &std::ffi::OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError::Unreadable { file: path.display().to_string(), error: error.to_string() }
}

fn flagged() -> impl Iterator<Item = (&'static Setting, &'static str)> {
    SETTINGS.iter().filter_map(|setting| Some((setting, setting.flag?)))
}

fn arg(setting: &'static Setting, flag: &'static str) -> Arg {
    let summary = setting.doc.split_once(". ").map_or(setting.doc, |(first, _)| first).trim_end_matches('.');
    let arg = Arg::new(setting.key).long(flag).help(summary).help_heading("Server options");
    if setting.is_switch() {
        return arg.action(ArgAction::SetTrue);
    }
    let default = setting.default_text(false);
    arg.value_name("VALUE").long_help(format!(
        "{}\n\nTakes {}. Default: {default}. Environment: {}.",
        setting.doc,
        setting.takes(),
        setting.env_name()
    ))
}

impl clap::Args for ConfigFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .env("ROSTER_CONFIG")
            .value_parser(any_path())
            .help_heading("Server options")
            .help("The configuration file, instead of roster.toml in the working directory");
        command.arg(config).args(flagged().map(|(setting, flag)| arg(setting, flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let text = |setting: &Setting| match setting.is_switch() {
            true => matches.get_flag(setting.key).then(|| "true".to_owned()),
            false => matches.get_one::<String>(setting.key).cloned(),
        };
        let given = flagged().filter_map(|(setting, _)| Some((setting.key, text(setting)?))).collect();
        // An empty variable counts as not set, as everywhere.
        let file = matches.get_one::<PathBuf>("config").filter(|path| !path.as_os_str().is_empty()).cloned();
        Ok(Self { file, given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Command};

    #[test]
    fn flags_reach_the_configuration_by_key() {
        let line =
            ["roster", "serve", "--dev", "--port", "0", "--database-url", "sqlite::memory:", "--config", "a.toml"];
        let Command::Serve(serve) = Cli::parse_from_args(line).unwrap().command else { panic!("serve") };
        let given: Vec<(&str, &str)> = serve.flags.given.iter().map(|(key, text)| (*key, text.as_str())).collect();
        assert_eq!(given, [("dev", "true"), ("grpc_port", "0"), ("database_url", "sqlite::memory:")]);
        assert_eq!(serve.flags.file.unwrap().to_str(), Some("a.toml"));
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let flags = super::ConfigFlags { file: Some("/nowhere/roster.toml".into()), given: Vec::new() };
        let error = flags.load().unwrap_err().to_string();
        assert!(error.starts_with("cannot read the configuration file /nowhere/roster.toml: No such file"), "{error}");
    }
}
