//! Settings as sites could write them.

use proptest::collection::vec;
use proptest::prelude::*;

/// Networks of both kinds; some overlap.
fn network() -> impl Strategy<Value = String> {
    let v4 = (any::<[u8; 4]>(), 1_u8..=32);
    let v6 = (any::<[u16; 8]>(), 1_u8..=128);
    prop_oneof![
        v4.prop_map(|(ip, bits)| format!("{}/{bits}", std::net::Ipv4Addr::from(ip))),
        v6.prop_map(|(ip, bits)| format!("{}/{bits}", std::net::Ipv6Addr::from(ip))),
        Just("192.168.10.0/24".to_owned()),
        Just("192.168.10.7".to_owned()),
        Just("::1".to_owned()),
    ]
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        any::<[u16; 8]>().prop_map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        "[a-z]{1,8}(\\.[a-z]{1,8}){0,3}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    // What systemd gives a meaning of its own, and what people type.
    "/(srv|mnt)/[a-zA-Z0-9 $%\"'\\\\;#=äé_.-]{1,20}x"
}

fn list(words: &[String]) -> String {
    format!("{words:?}")
}

/// A site's file: valid, with anything in it that ends up in a rendered file.
pub(super) fn valid() -> impl Strategy<Value = String> {
    let dicom = (1_u16.., vec(network(), 0..4), vec((host(), 1_u16..), 0..3));
    let web = prop_oneof![Just("127.0.0.1:8042"), Just("[::]:443"), Just("0.0.0.0:8042")];
    let firewall = (vec(network(), 0..4), vec(network(), 0..2), web);
    let clock = (vec(host(), 0..3), vec(network(), 0..3), zone());
    let machine = (address(), vec(host_number(), 0..3), path(), vec(path(), 0..2));
    let ups = prop_oneof![Just(""), Just("usbhid-ups"), Just("dummy-ups")];
    let numbers = (16_u32..2000, 1_u32..400, 10_u64..600, 0_u64..600, 0_u64..100);
    let device = prop_oneof![Just("auto"), Just("cpu"), Just("wgpu"), Just("cuda")];
    (dicom, firewall, clock, machine, ups, numbers, device).prop_map(
        |(dicom, firewall, clock, machine, ups, numbers, device)| {
            let mut text = String::from("format_version = 2\n");
            let (port, networks, peers) = dicom;
            text += &format!("[dicom]\nport = {port}\nnetworks = {}\n", list(&networks));
            for (at, (host, port)) in peers.iter().enumerate() {
                text += &format!(
                    "[[dicom.peers]]\nae_title = 'P{at}'\nhost = '{host}'\nport = {port}\n"
                );
            }
            let (pages, ssh, listen) = firewall;
            text += &format!("[web]\nlisten = '{listen}'\n");
            text += &format!(
                "[firewall]\npage_networks = {}\nssh_networks = {}\n",
                list(&pages),
                list(&ssh)
            );
            let (servers, serve, zone) = clock;
            text += &format!("[site]\ntime_zone = '{zone}'\n");
            text += &format!(
                "[clock]\nservers = {}\nserve_networks = {}\n",
                list(&servers),
                list(&serve)
            );
            let ((interface, address, gateway), name_servers, folder, media) = machine;
            text += &format!(
                "[network]\ninterface = '{interface}'\naddress = '{address}'\n\
                 gateway = '{gateway}'\nname_servers = {}\n",
                list(&name_servers)
            );
            text += &format!("[data]\nfolder = {folder:?}\n");
            text += &format!("[import]\nmedia_folders = {}\n", list(&media));
            text += &format!("[ups]\ndriver = '{ups}'\n[analysis]\ndevice = '{device}'\n");
            let (journal, days, daemon, machine, panic) = numbers;
            text += &format!(
                "[journal]\nmax_mib = {journal}\nkeep_days = {days}\n[watchdog]\n\
                 daemon_s = {daemon}\nmachine_s = {machine}\nreboot_after_panic_s = {panic}\n"
            );
            text
        },
    )
}

fn zone() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("UTC"), Just("Africa/Nairobi"), Just("America/Argentina/Ushuaia")]
}

fn host_number() -> impl Strategy<Value = String> {
    any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string())
}

fn address() -> impl Strategy<Value = (&'static str, String, String)> {
    prop_oneof![
        Just(("", String::new(), String::new())),
        Just(("en*", String::new(), String::new())),
        (any::<[u8; 4]>(), 1_u8..=32, host_number()).prop_map(|(ip, bits, gateway)| (
            "eth0",
            format!("{}/{bits}", std::net::Ipv4Addr::from(ip)),
            gateway
        )),
    ]
}
