//! Addresses of the names that the firewall lets the box connect to.

use std::io::Write as _;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::process::{Command, Stdio};

use firmware_config::render::destinations;
use firmware_config::settings::Checked;

/// How long an address counts after it was last looked up: longer than a link is mostly down.
const KEPT: &str = "24h";

/// Looks every name up and tells the firewall. The names without an address come back.
pub(crate) fn refresh(checked: &Checked) -> Result<Vec<String>, String> {
    let (mut lost, mut script) = (Vec::new(), String::new());
    for there in destinations(checked) {
        if there.host.parse::<IpAddr>().is_ok() {
            continue;
        }
        let Ok(found) = (there.host.as_str(), there.port).to_socket_addrs() else {
            lost.push(there.host);
            continue;
        };
        for address in found {
            let set = if address.is_ipv6() { "named6" } else { "named4" };
            let element = format!("{} . {}", address.ip(), address.port());
            // An element that is there keeps its time, so it is made anew.
            script += &format!("add element inet prima {set} {{ {element} timeout {KEPT} }}\n");
            script += &format!("delete element inet prima {set} {{ {element} }}\n");
            script += &format!("add element inet prima {set} {{ {element} timeout {KEPT} }}\n");
        }
    }
    if !script.is_empty() {
        feed(&script)?;
    }
    Ok(lost)
}

fn feed(script: &str) -> Result<(), String> {
    let run = || -> std::io::Result<std::process::Output> {
        let mut nft = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = nft.stdin.take() {
            stdin.write_all(script.as_bytes())?;
        }
        nft.wait_with_output()
    };
    match run() {
        Err(error) => Err(format!("nft cannot be run: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("the firewall does not take the addresses: {}", said.trim()))
        }
    }
}
