//! While somebody collects, others ask too.

use truehop_e2e::{Outcome, Request};

use crate::rows::NOBODY;
use crate::stage::{LARGE, Stage, UPLOADER, Who};

/// Others are told to come later; the owner may read all the time.
pub(crate) fn a_second_claim(who: Who) -> Option<Stage> {
    let stage = Stage::large(who);
    let begun = stage.begin();
    for _ in 0..3 {
        if who == Who::Owner {
            break;
        }
        stage.is_busy();
        let busy = stage.at(NOBODY).ask(&stage.request().header("Range", "bytes=0-"));
        assert_eq!(busy.status(), Some(423), "{busy:?}");
        let stranger = stage
            .request()
            .header("Truehop-Collection", "AAAAAAAAAAAAAAAAAAAAAA");
        let busy = stage.at(who.host()).ask(&stranger);
        assert_eq!(
            busy.status(),
            Some(423),
            "whoever shows another collection is another: {busy:?}"
        );
    }
    stage.is_all(&stage.at(UPLOADER).ask(&stage.request()));
    begun.finish(&stage);
    Some(stage)
}

/// Who is the same: whoever shows the collection; from the same address without it, who asks for a part.
pub(crate) fn a_second_claim_of_the_same(who: Who) -> Option<Stage> {
    let stage = Stage::large(who);
    let begun = stage.begin();
    let part = stage.request().header("Range", "bytes=0-9");
    if let Some(collection) = &begun.collection {
        let shown: [(&str, Request); 3] = [
            ("header", part.clone().header("Truehop-Collection", collection)),
            (
                "cookie",
                part.clone()
                    .header("Cookie", &format!("x=y; collection={collection}")),
            ),
            (
                "query",
                Request::new("GET", &format!("{}?collection={collection}", stage.path()))
                    .header("Range", "bytes=0-9"),
            ),
        ];
        for (how, request) in shown {
            // From anywhere.
            for visitor in [stage.visitor(), stage.at(NOBODY)] {
                let outcome = visitor.ask(&request);
                assert_eq!(outcome.status(), Some(206), "by {how}: {outcome:?}");
                assert_eq!(outcome.collection().as_ref(), Some(collection), "by {how}");
            }
        }
        let unmarked = stage.ask(&stage.request());
        assert_eq!(
            unmarked.status(),
            Some(423),
            "a request is under way: {unmarked:?}"
        );
        // Others may share the address: what is on its way already is not for who shows nothing.
        let unmarked = stage.ask(&part);
        assert_eq!(unmarked.status(), Some(423), "{unmarked:?}");
    } else {
        assert_eq!(who, Who::Owner, "no collection in the answer");
        assert!(matches!(stage.ask(&part), Outcome::Answered(answer) if answer.status == 206));
    }
    assert!(begun.bytes.len() < LARGE, "else the test proves nothing");
    begun.finish(&stage);
    Some(stage)
}
