//! Slices of one series, uncompressed, and what their pages and pictures say.

use std::fs;
use std::io::Read as _;

use super::*;
use crate::inference::explain::{ExplanationInfo, TokenInfo};
use crate::slices::tests::Phantom;
use crate::store::explanations::ExplanationJob;

const SERIES: &str = "1.2.A.1";

impl Site {
    /// A study with one axial series of slices 2 mm apart, the first at 10 mm; a file that is no
    /// image comes with it. Row 1 of its kind, as its series is.
    fn series(&self, slices: u8) {
        let folder = self.web.archive.root().join("A");
        fs::create_dir_all(&folder).unwrap();
        for i in 0..=slices {
            let path = folder.join(format!("{i}.dcm"));
            let z = 10.0 + 2.0 * f64::from(i);
            let phantom = Phantom { position_mm: [0.0, 0.0, z], ..Phantom::new([8, 8], [2, 2]) };
            let broken = i == slices;
            fs::write(path, if broken { b"none".to_vec() } else { phantom.file() }).unwrap();
            self.web.store.index(arrival(&format!("A/{i}.dcm"), SERIES, i)).unwrap();
        }
        let now = Periods { quiet: 0, after_release: 0, all_announced: 0, partial: 0 };
        self.web.store.complete_due(now).unwrap();
    }

    /// What a picture is, or why it is none.
    async fn bytes(&self, path: &str) -> (u16, axum::http::HeaderMap, Vec<u8>) {
        let request = Request::get(path).header("host", "192.168.1.20:8042");
        let request = request.header("cookie", format!("session={ADMIN}"));
        let request = request.body(Body::empty()).unwrap();
        let response = router(self.web.clone()).oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 22).await.unwrap().to_vec();
        (head.status.as_u16(), head.headers, body)
    }

    /// Explains the first finding of study 1 by places in a series.
    fn explain(&self, series_index: usize) {
        let token = TokenInfo { weight: 1.0, low_mm: [-5.0; 3], high_mm: [50.0; 3] };
        let info = ExplanationInfo {
            output: FINDING.to_owned(),
            series: "AX".to_owned(),
            series_index,
            samples: 9,
            weighting: "x".to_owned(),
            r2: 1.0,
            score: 1.0,
            tokens: vec![token],
            pictures: Vec::new(),
            region: Vec::new(),
        };
        let row = self.web.store.worklist_row(1, &self.web.caps).unwrap().unwrap();
        let job = ExplanationJob {
            study_id: 1,
            inference_id: row.inference_id.unwrap(),
            folder: String::new(),
            context: String::new(),
            finding: FINDING.to_owned(),
        };
        self.web.store.explained(&job, Ok(serde_json::to_string(&info).unwrap())).unwrap();
    }
}

fn arrival(path: &str, series: &str, instance: u8) -> Arrival {
    Arrival {
        study: StudyFacts {
            uid: "1.2.A".to_owned(),
            patient_name: "Otieno^Grace".to_owned(),
            ..StudyFacts::default()
        },
        series: SeriesFacts {
            uid: series.to_owned(),
            number: Some(3),
            description: "AX <T2>".to_owned(),
            ..SeriesFacts::default()
        },
        sop_uid: format!("{series}.{instance}"),
        source: "scp SCANNER1".to_owned(),
        path: path.to_owned(),
        ..Arrival::default()
    }
}

#[tokio::test]
async fn a_series_is_scrolled_through_without_a_script() {
    let appliance = Site::new();
    appliance.series(5);
    let study = appliance.get("/study/1").await.text;
    assert!(
        study.contains(r#"<a href="/study/1/series/1"><img src="/study/1/series/1/thumbnail.jpg""#)
    );
    let page = appliance.get("/study/1/series/1").await;
    for expected in [
        "3. AX &#60;T2&#62; Back to Otieno, Grace slice 3 of 5, 14.0 mm superior",
        "Window centre and width now: 500,1000 .",
        "1 file of this series cannot be shown; the first: 5.dcm: ",
    ] {
        check(&page, 200, expected);
    }
    for expected in [
        r#"alt="3. AX &#60;T2&#62;, slice 3 of 5, 14.0 mm superior""#,
        r#"src="/study/1/series/1/slice/3.jpg?window=stored&#38;of=5""#,
        r#"data-go="next" href="?slice=4&#38;window=stored""#,
        r#"data-go="first" href="?slice=1&#38;window=stored""#,
        r#"href="?slice=3&#38;window=375,1000" >brighter"#,
        r#"<script src="/assets/slices.js" defer></script>"#,
    ] {
        assert!(page.text.contains(expected), "{expected}:\n{}", page.text);
    }
    let last = appliance.get("/study/1/series/1?slice=5&window=450,900").await;
    check(&last, 200, "slice 5 of 5, 18.0 mm superior");
    assert!(last.text.contains(r#"data-go="next" aria-disabled="true""#));
    assert!(last.text.contains(r#"data-go="previous" href="?slice=4&#38;window=450,900""#));
    let rows = appliance.web.store.audit_rows(0, 100).unwrap();
    let views = rows.iter().filter(|row| row.action == "study.view" && row.object == "study 1");
    assert_eq!(views.count(), 3, "the study and two pages of its series");
}

#[tokio::test]
async fn pictures_are_kept_by_the_browser_alone() {
    let appliance = Site::new();
    appliance.series(5);
    let path = "/study/1/series/1/slice/1.jpg?window=450,900&of=5";
    let (status, headers, jpeg) = appliance.bytes(path).await;
    assert_eq!((status, &jpeg[..2]), (200, &[0xff, 0xd8][..]));
    assert_eq!(headers["content-type"], "image/jpeg");
    assert_eq!(headers["cache-control"], "private, max-age=600");
    assert_eq!(headers["vary"], "Cookie", "another session does not see them");
    assert_eq!(headers["slice-window"], "450,900");
    let (status, headers, _) = appliance.bytes("/study/1/series/1/thumbnail.jpg").await;
    assert_eq!((status, headers["content-type"].as_bytes()), (200, &b"image/jpeg"[..]));
    assert_eq!(headers["vary"], "Cookie");
    let (status, headers, _) = appliance.bytes("/study/1/series/1/slice/9.jpg").await;
    assert_eq!((status, headers["cache-control"].as_bytes()), (404, &b"no-store"[..]));
    let script = appliance.get("/assets/slices.js").await;
    assert_eq!(script.headers["content-type"], "text/javascript; charset=utf-8");
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let appliance = Site::new();
    appliance.series(5);
    appliance.study("B", false);
    for (path, status, expected) in [
        ("/study/9/series/1", 404, "There is no study 9."),
        ("/study/1/series/9", 404, "Study 1 has no series 9."),
        ("/study/2/series/1", 404, "Study 2 has no series 1."),
        ("/study/2/series/1/slice/1.jpg", 404, "Study 2 has no series 1."),
        ("/study/2/series/1/thumbnail.jpg", 404, "Study 2 has no series 1."),
        (
            "/study/1/series/1?slice=6",
            404,
            "There is no slice 6; the series has 5, counted from 1.",
        ),
        (
            "/study/1/series/1/slice/0.jpg",
            404,
            "There is no slice 0; the series has 5, counted from 1.",
        ),
        ("/study/1/series/1/slice/x.jpg", 404, "There is no page /study/1/series/1/slice/x.jpg."),
        (
            "/study/1/series/1/slice/1.jpg?of=4",
            409,
            "The series has changed since the page was loaded; load it again.",
        ),
        (
            "/study/1/series/1?window=1,0",
            400,
            "There is no window &#34;1,0&#34;; there are stored, slice, or centre and a width above \
             0, such as 450,900.",
        ),
        ("/study/x/series/1", 400, "The number in the address is not a number."),
    ] {
        refused(&appliance.get(path).await, status, expected);
    }
    // Study B's only file was never written.
    check(&appliance.get("/study/2/series/2").await, 200, "There is no image in this series.");
}

#[tokio::test]
async fn one_broken_slice_leaves_the_others() {
    let appliance = Site::new();
    appliance.series(3);
    let path = appliance.web.archive.root().join("A/1.dcm");
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - 20);
    fs::write(&path, bytes).unwrap();
    let page = appliance.get("/study/1/series/1?slice=2").await;
    check(&page, 200, "This slice cannot be shown: 1.dcm: ");
    check(&page, 200, "slice 2 of 3, 12.0 mm superior");
    let broken = appliance.get("/study/1/series/1/slice/2.jpg").await;
    check(&broken, 422, "This slice cannot be shown: 1.dcm: ");
    for number in [1, 3] {
        let path = format!("/study/1/series/1/slice/{number}.jpg");
        assert_eq!(appliance.bytes(&path).await.0, 200);
    }
}

#[tokio::test]
async fn images_that_were_deleted_are_a_sentence() {
    let appliance = Site::new();
    appliance.series(2);
    appliance.analyse(None);
    appliance.form("/study/1/decide", "kind=done").await;
    appliance.web.store.begin_eviction(1, |_| true).unwrap();
    let gone = "The images were deleted to make room; results are kept.";
    check(&appliance.get("/study/1/series/1").await, 200, gone);
    check(&appliance.get("/study/1").await, 200, gone);
    let picture = appliance.get("/study/1/series/1/slice/1.jpg").await;
    refused(
        &picture,
        410,
        "The images of study 1 were deleted to make room; its results are kept.",
    );
}

#[tokio::test]
async fn the_overlay_is_there_when_asked_for_and_explained() {
    let appliance = Site::new();
    appliance.series(2);
    appliance.analyse(None);
    let picture = async |query: &str| {
        appliance.bytes(&format!("/study/1/series/1/slice/1.jpg?{query}")).await.2
    };
    let plain = picture("").await;
    assert_eq!(picture("overlay=on").await, plain, "nothing is explained yet");
    appliance.explain(1);
    assert_eq!(picture("overlay=on").await, plain, "another series is explained");
    let page = appliance.get("/study/1/series/1?overlay=on").await.text;
    assert!(!page.contains("where the score of"));

    let appliance = Site::new();
    appliance.series(2);
    appliance.analyse(None);
    appliance.explain(0);
    let picture = async |query: &str| {
        appliance.bytes(&format!("/study/1/series/1/slice/1.jpg?{query}")).await.2
    };
    assert_eq!(picture("").await, plain);
    assert_eq!(picture("overlay=off").await, plain);
    assert_ne!(picture("overlay=on").await, plain);
    let page = appliance.get("/study/1/series/1").await;
    check(&page, 200, "Show where the score of mass effect comes from");
    let page = appliance.get("/study/1/series/1?overlay=on").await;
    check(&page, 200, "Hide where the score of mass effect comes from");
    check(&page, 200, "AI preview, not for diagnosis");
    assert!(
        page.text
            .contains(r#"data-go="previous" href="?slice=1&#38;window=stored&#38;overlay=on""#)
    );
}

#[tokio::test]
async fn a_series_is_drawn_where_the_site_has_niivue() {
    let mut appliance = Site::new();
    appliance.series(5);
    let path = "/study/1/series/1/volume";
    refused(&appliance.get(path).await, 404, "There is no page /study/1/series/1/volume.");
    assert!(!appliance.get("/study/1").await.text.contains(path));
    appliance.web.niivue = Some(Arc::new(Niivue::new(b"x".to_vec())));
    for page in ["/study/1", "/study/1/series/1"] {
        let page = appliance.get(page).await.text;
        assert!(page.contains(r#"<a href="/study/1/series/1/volume">In three dimensions</a>"#));
    }
    let page = appliance.get(path).await;
    check(&page, 200, "3. AX &#60;T2&#62; Back to the slices This view is drawn by JavaScript");
    for expected in [
        r#"data-series="/study/1/series/1/volume.nii.gz?volume=1" data-explanation="" "#,
        r#"<script src="/assets/niivue-2d711642b726b044.js" defer></script>"#,
    ] {
        assert!(page.text.contains(expected), "{expected}:\n{}", page.text);
    }
    // Pictures may come from one more source, and nothing else differs.
    let policy =
        |page: &Answer| page.headers["content-security-policy"].to_str().unwrap().to_owned();
    let usual = policy(&appliance.get("/study/1").await);
    assert_eq!(policy(&page).replace(" data:", ""), usual);
    assert!(policy(&page).contains("img-src 'self' blob: data:; ") && !usual.contains("data:"));
    let script = appliance.get("/assets/niivue-2d711642b726b044.js").await;
    assert_eq!((script.status.as_u16(), script.text.as_str()), (200, "x"));
    assert_eq!(script.headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(script.headers["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(appliance.get("/assets/niivue-0.js").await.status.as_u16(), 404);
}

#[tokio::test]
async fn volumes_go_out_on_record() {
    let appliance = Site::new();
    appliance.series(5);
    let (status, headers, file) = appliance.bytes("/study/1/series/1/volume.nii.gz").await;
    assert_eq!((status, &file[..2]), (200, &[0x1f, 0x8b][..]));
    assert_eq!(headers["content-type"], "application/gzip");
    assert_eq!(headers["cache-control"], "private, max-age=600");
    assert_eq!(headers["vary"], "Cookie", "another session does not see them");
    let explanation = "/study/1/series/1/explanation.nii.gz";
    refused(&appliance.get(explanation).await, 404, "Study 1 has no such picture.");
    refused(
        &appliance.get("/study/1/series/1/volume.nii.gz?volume=2").await,
        404,
        "There is no volume 2; the series has 1, counted from 1.",
    );
    appliance.analyse(None);
    appliance.explain(0);
    let (status, _, file) = appliance.bytes(explanation).await;
    assert_eq!(status, 200);
    let mut said = [0; 178];
    flate2::read::GzDecoder::new(&file[..]).read_exact(&mut said).unwrap();
    assert_eq!(&said[148..], b"AI preview - not for diagnosis");
    let rows = appliance.web.store.audit_rows(0, 100).unwrap();
    let sent = rows.iter().filter(|row| row.action == "retrieve.sent");
    let sent: Vec<_> = sent.map(|row| (row.object.as_str(), row.detail.as_str())).collect();
    let expected =
        ["volume", "explanation"].map(|what| format!("{{\"instances\":5,\"what\":\"{what}\"}}"));
    assert_eq!(sent, expected.each_ref().map(|detail| ("study 1", detail.as_str())));
}

#[tokio::test]
async fn a_series_that_is_no_volume_is_told() {
    let appliance = Site::new();
    appliance.series(1);
    let one = appliance.get("/study/1/series/1/volume.nii.gz").await;
    refused(&one, 422, "This series is no volume: it has one slice.");
    let rows = appliance.web.store.audit_rows(0, 100).unwrap();
    assert!(rows.iter().all(|row| row.action != "retrieve.sent"));
}
