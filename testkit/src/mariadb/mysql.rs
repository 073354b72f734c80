//! MySQL's own server, unpacked with all its libraries under `target/tools/mysql`. Debian's stable suite does not have it, so
//! `cargo xtask setup` takes it from the unstable suite. It is started through the loader of its own libraries.

use std::path::{Path, PathBuf};

use super::{USERS, common, data, greets};
use crate::owner::Owner;
use crate::process;
use crate::server::{Kind, words};
use crate::template;

/// Runs as the present user. As root, it must be told so by an option.
pub(super) const KIND: Kind = Kind {
    name: "MySQL",
    owner: None,
    end: None,
    prepare: |folder| {
        let data = data(folder);
        std::fs::create_dir(&data)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", data.display()));
        template::fill(&data, &template_name(), OWNER, || initialise(folder));
    },
    ready: greets,
    port_taken: "Can't start server: Bind on TCP/IP port",
};

const OWNER: Owner = Owner("root");

/// Whether every server of this module is to be MySQL's own.
#[must_use]
pub fn is_chosen() -> bool {
    match std::env::var("TESTKIT_MYSQL") {
        Err(_) => false,
        Ok(product) if product == "mysql" => true,
        Ok(product) if product.is_empty() || product == "mariadb" => false,
        Ok(product) => panic!("TESTKIT_MYSQL is {product:?}: it is `mysql` or `mariadb`"),
    }
}

/// The command that starts the server.
pub(super) fn program(folder: &Path, port: u16) -> Vec<String> {
    let root = root();
    let libraries = libraries(&root).display().to_string();
    let mut program = vec![
        format!("{libraries}/ld-linux-x86-64.so.2"),
        "--library-path".to_owned(),
        libraries,
        root.join("usr/sbin/mysqld").display().to_string(),
    ];
    program.extend(common(folder, port));
    program.push(format!("--basedir={}", root.join("usr").display()));
    program.extend(words(&["--mysqlx=OFF", "--secure-file-priv=NULL", "--innodb-redo-log-capacity=16M"]));
    if process::is_root() {
        program.push("--user=root".to_owned());
    }
    program
}

fn initialise(folder: &Path) {
    let users = folder.join("users.sql");
    std::fs::write(&users, USERS).unwrap_or_else(|error| panic!("cannot write {}: {error}", users.display()));
    let mut command = program(folder, 0);
    command.push("--initialize-insecure".to_owned());
    command.push(format!("--init-file={}", users.display()));
    OWNER.run(&command, "");
}

fn root() -> PathBuf {
    let root = template::target_directory().map(|target| target.join("tools/mysql/root"));
    root.filter(|root| root.join("usr/sbin/mysqld").is_file()).unwrap_or_else(|| {
        panic!("MySQL's own server is not there: `cargo xtask setup` unpacks it where Debian's packages can be had")
    })
}

fn libraries(root: &Path) -> PathBuf {
    root.join("usr/lib/x86_64-linux-gnu")
}

/// Setup writes the version beside the server.
fn template_name() -> String {
    let file = root().with_file_name("version");
    let version = std::fs::read_to_string(&file);
    let version = version.unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
    format!("mysql-{}", version.trim())
}
