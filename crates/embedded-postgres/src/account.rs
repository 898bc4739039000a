//! The user that the server runs as. PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::StartError;
use crate::binaries::Binaries;

/// Users that can run the server for root, in order of preference. The first one is created by the
/// server's package, the second exists on every system.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user of this process and, if another, the user of the server.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name of the user that this process runs as; the server accepts only this one.
    pub client_name: String,
    /// User id and group id of the server; `None` if it runs as this process does.
    server_ids: Option<(u32, u32)>,
}

impl Account {
    /// Chooses the server's user. An existing `cluster` must be run by its owner.
    ///
    /// The programs are located before, because their installation may create the user that should
    /// own the cluster; without it, `nobody` would own it for good.
    pub fn resolve(cluster: &Path, _located: &Binaries) -> Result<Self, StartError> {
        let client_name = id(&["-un"])?;
        if !is_root() {
            return Ok(Self { client_name, server_ids: None });
        }
        if let Ok(existing) = fs::metadata(cluster)
            && existing.uid() != 0
        {
            return Ok(Self { client_name, server_ids: Some((existing.uid(), existing.gid())) });
        }
        for name in UNPRIVILEGED {
            if let (Ok(user), Ok(group)) = (number(&["-u", name]), number(&["-g", name]))
                && user != 0
            {
                return Ok(Self { client_name, server_ids: Some((user, group)) });
            }
        }
        Err(StartError::NoAccount)
    }

    /// Makes the command run as the server's user, in a directory that every user can enter.
    pub fn apply(&self, command: &mut Command) {
        if let Some((user, group)) = self.server_ids {
            command.uid(user).gid(group);
        }
        command.current_dir("/");
    }

    /// Makes the server's user the owner of a file or directory.
    pub fn give(&self, path: &Path) -> Result<(), StartError> {
        match self.server_ids {
            Some((user, group)) => {
                let given = chown(path, Some(user), Some(group));
                given.map_err(StartError::io("change the owner of", path))
            }
            None => Ok(()),
        }
    }

    /// Checks that the server can enter `directory`, an absolute path without symlinks.
    ///
    /// Root's home is closed to other users, and `initdb` would only report that it cannot access
    /// a directory.
    pub fn check_reach(&self, directory: &Path) -> Result<(), StartError> {
        let Some((user, group)) = self.server_ids else { return Ok(()) };
        for ancestor in directory.ancestors() {
            let metadata = fs::metadata(ancestor).map_err(StartError::io("inspect", ancestor))?;
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

/// Returns true if this process runs as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn number(arguments: &[&str]) -> Result<u32, StartError> {
    id(arguments)?.parse().map_err(|_| StartError::NoAccount)
}

/// Runs `id`, which knows every source of users that the C library knows: passwd, directory
/// services, LDAP. `/etc/passwd` is not complete on macOS, and calling the C library would be
/// unsafe code.
fn id(arguments: &[&str]) -> Result<String, StartError> {
    let output = Command::new("id")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(StartError::io("run", Path::new("id")))?;
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
        let stranger =
            Account { client_name: "root".into(), server_ids: Some((4_000_001, 4_000_001)) };
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
