//! Who the server runs as. PostgreSQL refuses to run as root, and rightly so.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::StartError;

/// As root we look for these, in this order: the first comes with the server's package, the second
/// with every system.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Our own user, and the one of the server where that is another.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// The name of the user that this process runs as; the server lets in only this one.
    pub(super) our_name: String,
    /// User and group of the server; none when it runs as we do.
    other: Option<(u32, u32)>,
}

impl Account {
    /// Finds the server's user. `cluster` may exist already; then it belongs to the user that has
    /// to run it.
    pub(super) fn resolve(cluster: &Path) -> Result<Self, StartError> {
        let our_name = id(&["-un"])?;
        if !is_root()? {
            return Ok(Self { our_name, other: None });
        }
        if let Ok(existing) = fs::metadata(cluster)
            && existing.uid() != 0
        {
            return Ok(Self { our_name, other: Some((existing.uid(), existing.gid())) });
        }
        for name in UNPRIVILEGED {
            if let (Ok(user), Ok(group)) = (number(&["-u", name]), number(&["-g", name]))
                && user != 0
            {
                return Ok(Self { our_name, other: Some((user, group)) });
            }
        }
        Err(StartError::NoAccount)
    }

    /// Makes the command run as the server's user, in a directory that every user can enter.
    pub(super) fn apply(&self, command: &mut Command) {
        if let Some((user, group)) = self.other {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
    }

    /// Gives a file or directory to the server's user.
    pub(super) fn give(&self, path: &Path) -> Result<(), StartError> {
        match self.other {
            Some((user, group)) => chown(path, Some(user), Some(group))
                .map_err(|source| StartError::io("give away", path, source)),
            None => Ok(()),
        }
    }

    /// Makes sure that the server can get to `directory`, an absolute path without symlinks.
    ///
    /// A home of root is closed to others, and `initdb` would only say that it cannot access a
    /// directory.
    pub(super) fn check_reach(&self, directory: &Path) -> Result<(), StartError> {
        let Some((user, group)) = self.other else { return Ok(()) };
        for ancestor in directory.ancestors() {
            let metadata = fs::metadata(ancestor)
                .map_err(|source| StartError::io("look at", ancestor, source))?;
            let needed = match metadata {
                ref of if of.uid() == user => 0o100,
                ref of if of.gid() == group => 0o010,
                _ => 0o001,
            };
            if metadata.permissions().mode() & needed == 0 {
                return Err(StartError::Unreachable {
                    data_dir: directory.to_owned(),
                    closed: ancestor.to_owned(),
                    user,
                });
            }
        }
        Ok(())
    }
}

/// Whether this process runs as root.
pub(super) fn is_root() -> Result<bool, StartError> {
    Ok(number(&["-u"])? == 0)
}

fn number(arguments: &[&str]) -> Result<u32, StartError> {
    id(arguments)?.parse().map_err(|_| StartError::NoAccount)
}

/// Asks `id`, which knows what the C library knows: passwd, directory services, LDAP. Reading
/// `/etc/passwd` would not do on macOS, and asking the C library would be unsafe code.
fn id(arguments: &[&str]) -> Result<String, StartError> {
    let output = Command::new("id")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| StartError::io("run", Path::new("id"), source))?;
    match String::from_utf8(output.stdout) {
        Ok(text) if output.status.success() && !text.trim().is_empty() => {
            Ok(text.trim().to_owned())
        }
        _ => Err(StartError::NoAccount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_parent_is_named() {
        let outer = std::env::temp_dir().join(format!("kampanje-closed-{}", std::process::id()));
        let inner = outer.join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::set_permissions(&outer, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account { our_name: "root".into(), other: Some((4_000_001, 4_000_001)) };
        let refused = stranger.check_reach(&inner);
        fs::set_permissions(&outer, fs::Permissions::from_mode(0o711)).unwrap();
        let allowed = stranger.check_reach(&inner);
        fs::remove_dir_all(&outer).unwrap();
        match refused {
            Err(StartError::Unreachable { closed, .. }) => assert_eq!(closed, outer),
            other => panic!("{other:?}"),
        }
        allowed.unwrap();
    }
}
