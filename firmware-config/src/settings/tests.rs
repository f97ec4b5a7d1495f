//! What is accepted, and what is refused with which words.

use super::*;

fn check(text: &str, expected: &str) {
    match Checked::parse(text, "site.toml") {
        Ok(_) => assert_eq!("accepted", expected),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

#[test]
fn the_built_in_settings_are_accepted_and_render_to_themselves() {
    let written = |checked: &Checked| toml::to_string(&checked.settings).unwrap();
    let built_in = Checked::load(None).unwrap();
    let again = Checked::parse(&written(&built_in), "rendered").unwrap();
    assert_eq!(written(&built_in), written(&again));
    check("", "accepted");
    check("[dicom]\nae_title = 'MR BOX'\nnetworks = ['10.0.0.0/8', '::1']", "accepted");
    check("[[dicom.peers]]\nae_title='MR1'\nhost='h'\nport=104", "accepted");
    check(
        "[[dicom.peers]]\nae_title='PACS'\nhost='h'\nport=104\n[priors]\narchive='PACS'",
        "accepted",
    );
    check("[[results.archives]]\nae_title='PACS'\nhost='h'\nport=104", "accepted");
    let objects = "[[results.archives]]\nae_title='P'\nhost='h'\nport=1\nobjects=['report']";
    check(objects, "accepted");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_key() {
    check(
        "[dicom]\nprot = 1",
        "site.toml: dicom.prot is no setting, did you mean port; `appliance check-config` \
         without a file prints all",
    );
    check(
        "[nothing]\n",
        "site.toml: nothing is no setting; `appliance check-config` without a file prints all",
    );
    check(
        "[dicom]\nport = '11112'",
        "site.toml: dicom.port is a text (\"11112\"), expected a whole number, such as 11112",
    );
    check(
        "[dicom]\nae_title = 'A NAME THAT IS TOO LONG'",
        "site.toml: dicom.ae_title is \"A NAME THAT IS TOO LONG\", expected 1 to 16 ASCII \
         characters without a backslash",
    );
    check(
        "dicom.query_retrieve_ae_titles = ['PACS', '*']",
        "site.toml: dicom.query_retrieve_ae_titles is \"*\", expected AE titles, each by its name",
    );
    check(
        "[dicom]\nnetworks = ['scanner']",
        "site.toml: dicom.networks is \"scanner\", expected a network such as \
         192.168.10.0/24, or an address",
    );
    check(
        "[analysis]\ndevice = 'gpu'",
        "site.toml: analysis.device is \"gpu\", expected auto, cpu, wgpu or cuda",
    );
    check(
        "[assembly]\nquiet_s = 0",
        "site.toml: assembly.quiet_s is 0, expected a number from 1 to 3600",
    );
    check(
        "[disk]\nevict_percent = 96",
        "site.toml: disk.*_percent is [80, 96, 95], expected rising marks from 10 to 99: \
         tight, evict, full",
    );
    check(
        "thermal.gpu_slow_c = 95",
        "site.toml: thermal.gpu_slow_c is 95, expected less than thermal.gpu_pause_c",
    );
    check(
        "data.folder = ''",
        "site.toml: data.folder is \"\", expected a folder of its own for the data, such as \
         /var/lib/prima/data",
    );
    check(
        "worklist.max_wait_high_min = 500",
        "site.toml: worklist.max_wait_*_min contradict each other",
    );
    check(
        "[web]\nlisten = 'everywhere'",
        "site.toml: web.listen is \"everywhere\", expected an address and a port, such as \
         127.0.0.1:8042 or [::]:8042",
    );
}

#[test]
fn half_an_encryption_is_refused() {
    check("[web.tls]\ncertificate_file = 'a.crt'\nkey_file = 'a.key'", "accepted");
    check(
        "web.tls.certificate_file = 'a.crt'",
        "site.toml: web.tls.key_file is \"\", expected a PEM file, because \
         web.tls.certificate_file is set",
    );
    check(
        "web.tls.key_file = 'a.key'",
        "site.toml: web.tls.certificate_file is \"\", expected a PEM file, because \
         web.tls.key_file is set",
    );
}

#[test]
fn ports_and_peers_that_make_no_sense_are_refused() {
    check(
        "dicom.tls.port = 2762",
        "site.toml: dicom.tls.certificate_file is \"\", expected a PEM file, because \
         dicom.tls.port is set",
    );
    check(
        "dicom.port = 0",
        "site.toml: dicom.tls.port is 0, expected a port that is not dicom.port; 0 in only \
         one of them",
    );
    check(
        "[[dicom.peers]]\nae_title='MR1'\nhost=''\nport=104",
        "site.toml: dicom.peers.host is \"\", port 104, expected a host and its port",
    );
    check(
        "[[dicom.peers]]\nae_title='MR1'\nhost='h'\nport=104\ntls=true",
        "site.toml: dicom.peers.tls is true, expected false, or an authority in \
         dicom.tls.client_ca_file",
    );
    check(
        "priors.archive = 'PACS'",
        "site.toml: priors.archive is \"PACS\", expected the AE title of one of [[dicom.peers]], or \
         \"\" to ask nobody",
    );
    check(
        "[[results.archives]]\nae_title='PACS'\nhost='h'\nport=0",
        "site.toml: results.archives.host is \"h\", port 0, expected a host and its port",
    );
    check(
        "[[results.archives]]\nae_title='PACS'\nhost='h'\nport=1\nobjects=['pictures']",
        "site.toml: results.archives.objects is [\"pictures\"], expected some of report, picture, \
         segmentation",
    );
    check(
        "[[results.fhir]]\nname='EHR'\nurl='ehr.hospital'",
        "site.toml: results.fhir.url is \"ehr.hospital\", expected the address of a service, such \
         as https://pacs/dicom-web",
    );
    check(
        "[[results.stow]]\nname='PACS'\nurl='https://pacs'\nobjects=[]",
        "site.toml: results.stow.objects is [], expected some of report, picture, segmentation",
    );
    let twice = "[[results.archives]]\nae_title='PACS'\nhost='h'\nport=104\n".repeat(2);
    check(
        &twice,
        "site.toml: results.archives.ae_title is \"PACS\", expected a name for each archive and \
         receiver, none twice",
    );
}

#[test]
fn receivers_that_make_no_sense_are_refused() {
    let receiver = |more: &str| format!("[[results.hl7]]\nname='RIS'\nhost='h'\nport=2575\n{more}");
    check(&receiver(""), "accepted");
    check(&receiver("receiving_application='Klinik Ost'"), "accepted");
    check(
        &receiver("receiving_facility=\"a\\tb\""),
        "site.toml: results.hl7.receiving_facility is \"a\\tb\", expected 0 to 64 printable \
         characters",
    );
    check(
        &receiver("").replace("RIS", ""),
        "site.toml: results.hl7.name is \"\", expected 1 to 32 printable characters",
    );
    check(
        &receiver("").replace("port=2575\n", ""),
        "site.toml: results.hl7.port of \"RIS\" is missing, expected the port that the receiver \
         listens on",
    );
    check(
        &receiver("").replace("host='h'\n", ""),
        "site.toml: results.hl7.host of \"RIS\" is missing, expected the name or address of the \
         receiver",
    );
    check(
        &receiver("[[results.archives]]\nae_title='RIS'\nhost='h'\nport=104"),
        "site.toml: results.hl7.name is \"RIS\", expected a name for each archive and receiver, \
         none twice",
    );
}

#[test]
fn a_hub_that_makes_no_sense_is_refused() {
    check("[hub]\nurl = 'https://hub.hospital.org:8443'\nimages_hours = '22-6'", "accepted");
    check(
        "hub.url = 'hub.hospital.org'",
        "site.toml: hub.url is \"hub.hospital.org\", expected an address such as \
         https://hub.hospital.org:8443, or \"\" for no hub",
    );
    check(
        "[hub]\nurl = 'https://hub'\noutbox_only = true",
        "site.toml: hub.outbox_only is true, expected false, because hub.url is set; sticks can be \
         written all the same",
    );
    check(
        "hub.identity = 'none'",
        "site.toml: hub.identity is \"none\", expected full or pseudonym",
    );
    check("hub.series = 'all'", "site.toml: hub.series is \"all\", expected none or referred");
    check(
        "hub.images_hours = '22:00'",
        "site.toml: hub.images_hours is \"22:00\", expected hours of the day such as 22-6, or \"\" \
         for any time",
    );
    check("hub.poll_s = 0", "site.toml: hub.poll_s is 0, expected a number from 1 to 3600");
}

/// A key whose range is not written down could be anything that its type allows.
#[test]
fn every_whole_number_has_a_range() {
    fn numbers(table: &Table, name: &str, found: &mut Vec<String>) {
        for (key, value) in table {
            let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
            match value {
                toml::Value::Table(inner) => numbers(inner, &name, found),
                toml::Value::Integer(_) => found.push(name),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    numbers(&BUILT_IN.parse().unwrap(), "", &mut found);
    let mut known: Vec<String> = RANGES.iter().map(|(key, ..)| (*key).to_owned()).collect();
    found.sort();
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn the_table_has_every_key() {
    let table = markdown();
    let keys = BUILT_IN.lines().filter(|line| !line.starts_with('#') && line.contains(" = "));
    assert_eq!(table.lines().count(), 2 + keys.count());
    let line = "| `import.poll_s` | `5` | 1 to 3600 |  |";
    assert!(table.contains(line), "{table}");
    let line = "| `disk.tight_percent` | `80` | 10 to 99 | Shares of the data disk in use: warn, \
                delete what may be deleted, refuse images. |";
    assert!(table.contains(line), "{table}");
}

#[test]
fn a_later_format_is_refused() {
    check(
        "format_version = 3",
        "site.toml has format_version 3, and this program knows up to 2; use the program that wrote \
         it, or the copy that it left beside it for earlier ones",
    );
    check("analysis.gpu_slow_c = 80", "accepted");
    let error = "site.toml: analysis.gpu_slow_c is no setting; `appliance check-config` without a \
                 file prints all";
    check("format_version = 2\nanalysis.gpu_slow_c = 80", error);
    check("format_version = 0", "site.toml: format_version is 0, expected a number from 1 to 2");
}

#[test]
fn the_readme_has_the_table() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains(&markdown()), "put the output of `firmware-config table` into it");
}

#[test]
fn the_sites_that_are_shown_are_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sites");
    let files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 2);
    for file in files {
        Checked::load(Some(&file)).unwrap();
    }
}
