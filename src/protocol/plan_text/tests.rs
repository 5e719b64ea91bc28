//! Plans that hold, plans an agent must repair, and fenced blocks.

use super::*;

fn errors(value: Value) -> Vec<String> {
    parse_plan(&value, &[Task::new("old-1", "Old one")], 7)
        .expect_err("a bad plan")
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn ids_are_made_and_dependencies_follow() {
    let plan = json!({"goal": "Ship it", "tasks": [
        {"id": 1, "title": "Add the login page", "acceptance": ["it shows"], "status": "done", "priority": "high"},
        {"title": "Test it", "acceptance": ["green"], "depends_on": [1, "old-1", "OLD ONE"], "verify": ["make"]},
        {"id": "c", "title": "日本", "acceptance": ["ok"], "depends_on": ["add the LOGIN page", "Test it"]},
    ]});
    let existing = [Task::new("old-1", "Old one")];
    let made = parse_plan(&plan, &existing, 7).unwrap();
    let ids: Vec<&str> = made.tasks.iter().map(|task| task.id.0.as_str()).collect();
    assert!(ids[0].starts_with("add-the-login-page-") && ids[0].len() == 25, "{ids:?}");
    assert_eq!(ids[2], "c", "a name the agent chose is kept");
    assert_eq!(made.tasks[1].depends_on, [ids[0].into(), "old-1".into()]);
    assert_eq!(made.tasks[2].depends_on, [ids[0].into(), ids[1].into()]);
    let goal = made.goal.as_ref().unwrap();
    assert_eq!(goal.text, "Ship it");
    for task in &made.tasks {
        assert_eq!((task.status, task.goal.as_ref()), (Status::Draft, Some(&goal.id)));
    }
    assert_eq!(parse_plan(&plan, &existing, 7).unwrap(), made);
    assert_ne!(parse_plan(&plan, &existing, 8).unwrap().tasks[0].id, made.tasks[0].id);
    let revised = json!([{"id": ids[0], "title": "Other title", "acceptance": ["x"]}]);
    assert_eq!(parse_plan(&revised, &existing, 99).unwrap().tasks[0].id.0, ids[0]);
}

#[test]
fn errors_tell_the_agent_what_to_repair() {
    let table = [
        (json!(3), "plan: submit an object with `tasks`, a list of tasks"),
        (json!({}), "tasks: the plan needs `tasks`, a list of tasks"),
        (json!([]), "tasks: the plan has no task; submit at least one"),
        (json!([{"acceptance": ["x"]}]), "tasks[0]: `title` is missing"),
        (json!(["x"]), "tasks[0]: a task is an object, not a string"),
        (
            json!([{"title": "A", "acceptance": ["x", " "]}]),
            "tasks[0].acceptance[1]: this condition is empty; write or remove it",
        ),
        (
            json!([{"title": "A", "acceptance": ["x"], "priority": "urgent"}]),
            "tasks[0].priority: `priority` is `urgent`, expected one of `critical`, `high`, `medium`, `low`",
        ),
        (
            json!([{"id": "a", "title": "A", "acceptance": ["x"], "depends_on": ["zz"]}]),
            "tasks[0].depends_on[0]: `zz` is neither an id nor a title of this plan or the queue; ids of the plan: a",
        ),
        (
            json!([{"id": "a", "title": "A", "acceptance": ["x"], "depends_on": ["a"]}]),
            "tasks[0].depends_on: task `tasks[0] (a)` waits for itself; remove one of these dependencies",
        ),
        (
            json!([{"id": "a", "title": "A", "acceptance": ["x"], "depends_on": ["B"]},
                {"title": "B", "acceptance": ["x"], "depends_on": ["a"]}]),
            "tasks[0].depends_on: these tasks wait for each other: tasks[0] (a) → tasks[1] (B) → tasks[0] (a); remove one of these dependencies",
        ),
        (
            json!([{"id": "a", "title": "A", "acceptance": ["x"]}, {"id": "a", "title": "B", "acceptance": ["x"]}]),
            "tasks[1].id: `a` is the id of tasks[0] as well; give each task its own or none",
        ),
        (
            json!([{"id": "old-1", "title": "A", "acceptance": ["x"]}]),
            "tasks[0].id: `old-1` is a task of the queue already; leave `id` out for a new task",
        ),
        (
            json!([{"title": "A", "acceptance": ["x"]}, {"title": "A", "acceptance": ["x"]},
                {"title": "C", "acceptance": ["x"], "depends_on": ["A"]}]),
            "tasks[2].depends_on[0]: several tasks have the title `A`; give them ids and use those",
        ),
        (
            json!({"goal": 3, "tasks": [{"title": "A", "acceptance": ["x"]}]}),
            "goal: write the goal as a text, or leave it out",
        ),
    ];
    for (plan, expected) in table {
        assert_eq!(errors(plan.clone()), [expected], "{plan}");
    }
    let all = errors(json!([{"title": ""}, {"title": "B", "acceptance": 3}]));
    assert_eq!(all.len(), 2, "every error at once: {all:?}");
}

#[test]
fn only_the_last_block_with_the_nonce_counts() {
    let block = |nonce: &str, text: &str| {
        format!(
            "```ralph\n{{\"nonce\": \"{nonce}\", \"report\": {{\"type\": \"progress\", \"text\": \"{text}\"}}}}\n```\n"
        )
    };
    let found = |text: &str| fenced_report(text, "n1").map(|report| report.map_err(|_| ()));
    let progress = |text: &str| Some(Ok(Report::Progress { text: text.into() }));
    assert_eq!(found(&format!("Done.\n\n{}", block("n1", "a"))), progress("a"));
    assert_eq!(found(&format!("{}{}", block("n1", "a"), block("n1", "b"))), progress("b"));
    assert_eq!(found(&format!("{}bye", block("n1", "a").replace("```", "~~~~"))), progress("a"));
    assert_eq!(found(&format!("{}{}", block("n1", "a"), block("n2", "b"))), None);
    assert_eq!(found(&block("n2", "a")), None);
    assert_eq!(fenced_report(&block("", "a"), ""), None);
    for bad in [
        "",
        "```ralph",
        "```ralph\nnot json\n```",
        "```json\n{\"nonce\":\"n1\",\"report\":{}}\n```",
        "```ralph\n{\"nonce\":\"n1\"}\n```",
    ] {
        assert_eq!(found(bad), None, "{bad}");
    }
    assert_eq!(found("```ralph\n{\"nonce\":\"n1\",\"report\":{\"type\":\"magic\"}}\n```"), Some(Err(())));
}
