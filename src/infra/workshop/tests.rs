//! What stays when git cleans up.

use super::GitWorkshop;
use crate::engine::ports::Workshop;
use crate::infra::paths::{Homes, StatePaths};
use crate::infra::repository::testing::Fixture;

#[tokio::test]
async fn every_round_outlives_a_garbage_collection() {
    let fixture = Fixture::with_commit(&[("a", "1\n")]);
    let folder = |name: &str| fixture.root().join(name);
    let homes = Homes { state: folder("state"), config: folder("config"), runtime: vec![folder("run")] };
    let repository = fixture.repository();
    let paths = StatePaths::open(&homes, repository.common_dir()).expect("a state folder");
    let workshop = GitWorkshop::open(repository.clone(), &paths).expect("opens");
    let first = repository.head().expect("readable").expect("a commit").commit;
    let tree = repository.tree_of(&first).expect("a tree");
    // None is below another, as after a move onto another base.
    let commit = |message: &str| repository.commit_tree(&tree, &[], message, 1).expect("a commit");
    let rounds: Vec<(String, String)> =
        (0..3).map(|number| (commit(&format!("base {number}")), commit(&format!("head {number}")))).collect();
    let lost = commit("of nobody");
    for (base, head) in &rounds {
        for _repeated in 0..2 {
            workshop.publish("key", base, head).await.expect("published");
        }
    }
    let chain = fixture.git(&["rev-list", "--count", "--grep=Proposals", "refs/ralph/key/rounds"]);
    assert_eq!(chain.trim(), "3", "what is kept already is not kept again");
    fixture.git(&["gc", "--quiet", "--prune=now"]);
    let there = |commit: &str| repository.parents_of(commit).is_ok();
    assert!(rounds.iter().all(|(base, head)| there(base) && there(head)));
    assert!(!there(&lost), "git did clean up");
}
