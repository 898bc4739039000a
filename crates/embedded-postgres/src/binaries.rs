//! The server's programs: found on the machine or, failing that, installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::StartError;
use crate::install::{Cache, INSTALLERS};

/// The oldest supported server.
pub const MIN_MAJOR: u32 = 15;
/// The newest version whose usual directories are searched. Newer versions are found by `PATH`.
const MAX_SEARCHED_MAJOR: u32 = 19;

/// A directory with `postgres` and `initdb`.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub dir: PathBuf,
    pub major: u32,
    /// The directory of libraries that were unpacked with the programs, unknown to the system.
    pub library_path: Option<PathBuf>,
}

impl Binaries {
    /// Finds or installs the programs. `wanted` is the major version of an existing cluster.
    pub fn locate(
        configured: Option<&Path>,
        wanted: Option<u32>,
        root: bool,
    ) -> Result<Self, StartError> {
        if let Some(dir) = configured {
            let found = Self::at(dir)
                .filter(|found| found.major >= MIN_MAJOR)
                .ok_or_else(|| StartError::NotBinaries { dir: dir.to_owned() })?;
            return match wanted {
                Some(wanted) if wanted != found.major => {
                    Err(StartError::OtherMajor { wanted, found: Some(found.major) })
                }
                _ => Ok(found),
            };
        }
        let cache = Cache::of_user(root);
        let search = || {
            let dirs = candidates(cache.as_ref());
            dirs.iter().filter_map(|dir| Self::at(dir)).find(|found| {
                found.major >= MIN_MAJOR && wanted.is_none_or(|wanted| wanted == found.major)
            })
        };
        if let Some(found) = search() {
            return Ok(found);
        }
        let mut attempts = Vec::new();
        if let Some(cache) = &cache {
            // The second of two concurrent processes finds what the first has installed.
            let _lock = cache.lock()?;
            for install in INSTALLERS {
                if let Some(found) = search() {
                    return Ok(found);
                }
                if let Err(reason) = install(cache, root) {
                    attempts.push(reason);
                }
            }
        }
        match (search(), wanted) {
            (Some(found), _) => Ok(found),
            (None, Some(wanted)) => Err(StartError::OtherMajor { wanted, found: None }),
            (None, None) => Err(StartError::NoBinaries { attempts: attempts.join("; ") }),
        }
    }

    /// Returns the programs in `dir` if they exist and run.
    pub fn at(dir: &Path) -> Option<Self> {
        if !dir.join("initdb").is_file() || !dir.join("postgres").is_file() {
            return None;
        }
        let mut version = Command::new(dir.join("postgres"));
        let output =
            version.arg("--version").stdin(Stdio::null()).current_dir("/").output().ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { dir: dir.to_owned(), major, library_path: unpacked_libraries(dir) })
    }
}

/// Returns the library directory of an unpacked Debian package: `<cache>/deb/usr/lib/<triplet>` for
/// programs in `<cache>/deb/usr/lib/postgresql/15/bin`.
fn unpacked_libraries(dir: &Path) -> Option<PathBuf> {
    if !dir.to_string_lossy().contains("/kampanje/deb/") {
        return None;
    }
    let usr_lib = dir.ancestors().nth(3)?;
    let mut entries = fs::read_dir(usr_lib).ok()?.flatten();
    entries.find(|entry| entry.path().join("libpq.so.5").exists()).map(|entry| entry.path())
}

/// Reads 15 from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; betas are `18beta1`.
fn major_of(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Returns every directory to search, in order of preference.
fn candidates(cache: Option<&Cache>) -> Vec<PathBuf> {
    // Debian has a directory for each major version.
    let mut dirs = numbered(Path::new("/usr/lib/postgresql"));
    for dir in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        // The programs find their libraries relative to their real location, not to a symlink.
        if let Ok(program) = fs::canonicalize(dir.join("postgres"))
            && let Some(real) = program.parent()
        {
            dirs.push(real.to_owned());
        }
    }
    for major in (MIN_MAJOR..=MAX_SEARCHED_MAJOR).rev() {
        dirs.push(format!("/usr/pgsql-{major}/bin").into());
        if cfg!(target_os = "macos") {
            dirs.push(format!("/opt/homebrew/opt/postgresql@{major}/bin").into());
            dirs.push(format!("/usr/local/opt/postgresql@{major}/bin").into());
            dirs.push(format!("/Applications/Postgres.app/Contents/Versions/{major}/bin").into());
        }
    }
    if let Some(cache) = cache {
        dirs.push(cache.npm_binaries());
        dirs.append(&mut cache.deb_binaries());
    }
    dirs
}

/// Returns `<parent>/<major>/bin` for each major version below `parent`, highest first.
pub fn numbered(parent: &Path) -> Vec<PathBuf> {
    let mut majors: Vec<u32> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    majors.into_iter().map(|major| parent.join(major.to_string()).join("bin")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_is_read_from_releases_and_betas() {
        let release = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(major_of(release), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn highest_version_comes_first() {
        let parent = env::temp_dir().join(format!("kampanje-numbered-{}", std::process::id()));
        for name in ["9", "16", "common", "15"] {
            fs::create_dir_all(parent.join(name)).unwrap();
        }
        let found = numbered(&parent);
        fs::remove_dir_all(&parent).unwrap();
        assert_eq!(found, ["16/bin", "15/bin", "9/bin"].map(|end| parent.join(end)));
    }

    #[test]
    fn directory_without_programs_is_refused() {
        let refused = Binaries::locate(Some(Path::new("/nowhere")), None, false);
        assert!(matches!(refused, Err(StartError::NotBinaries { .. })), "{refused:?}");
    }
}
