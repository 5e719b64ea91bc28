//! Real editors against the built program, driven as a person would; `tests/run editors` installs and runs them.

mod costs;
#[path = "emacs.rs"]
mod eglot;
#[path = "helix.rs"]
mod hx;
mod neovim;
mod neovim_review;
mod terminal;
#[path = "vscode.rs"]
mod workbench;
mod world;

mod nvim_0_12 {
    #[test]
    fn the_main_job_from_a_selection_to_the_saved_file() {
        super::neovim::play("RALPH_TEST_NVIM_0_12", "whole_path", |_| ());
    }

    #[test]
    fn the_plug_in_shows_decides_and_takes_back_hunks_in_the_buffer() {
        super::neovim::play_plugin("RALPH_TEST_NVIM_0_12");
    }

    #[test]
    fn the_main_job_by_the_commands_of_the_plug_in() {
        super::neovim::play("RALPH_TEST_NVIM_0_12", "plugin_path", |_| ());
    }

    #[test]
    fn the_set_up_is_documented_and_checked() {
        super::neovim::play_set_up("RALPH_TEST_NVIM_0_12");
    }

    #[test]
    fn two_rounds_of_a_review_and_the_landing() {
        super::neovim_review::play_rounds("RALPH_TEST_NVIM_0_12");
    }

    #[test]
    fn every_command_says_what_it_did_and_completes() {
        super::neovim_review::play_commands("RALPH_TEST_NVIM_0_12");
    }

    #[test]
    fn parts_are_kept_rests_dropped_and_all_of_it_taken_back() {
        super::neovim_review::play_decisions("RALPH_TEST_NVIM_0_12");
    }

    #[test]
    fn a_review_and_its_landing() {
        super::neovim_review::play_landing("RALPH_TEST_NVIM_0_12");
    }

    #[test]
    fn what_reviewing_twelve_hunks_in_five_files_costs() {
        super::neovim_review::play_costs("RALPH_TEST_NVIM_0_12");
    }

    #[test]
    #[ignore = "it is a measurement and takes minutes; run it with `--run-ignored all`"]
    fn what_large_proposals_cost() {
        super::neovim_review::play_large("RALPH_TEST_NVIM_0_12");
    }
}

mod nvim_0_10 {
    #[test]
    fn a_pending_hunk_is_seen_accepted_and_saved() {
        super::neovim::play("RALPH_TEST_NVIM_0_10", "short_path", super::world::World::bring_to_review);
    }

    #[test]
    fn the_plug_in_shows_decides_and_takes_back_hunks_in_the_buffer() {
        super::neovim::play_plugin("RALPH_TEST_NVIM_0_10");
    }

    #[test]
    fn the_set_up_is_documented_and_checked() {
        super::neovim::play_set_up("RALPH_TEST_NVIM_0_10");
    }

    #[test]
    fn every_command_says_what_it_did_and_completes() {
        super::neovim_review::play_commands("RALPH_TEST_NVIM_0_10");
    }

    #[test]
    fn parts_are_kept_rests_dropped_and_all_of_it_taken_back() {
        super::neovim_review::play_decisions("RALPH_TEST_NVIM_0_10");
    }

    #[test]
    fn a_review_and_its_landing() {
        super::neovim_review::play_landing("RALPH_TEST_NVIM_0_10");
    }
}

mod vscode {
    #[test]
    fn the_main_job_from_the_palette_to_the_undo() {
        super::workbench::play("whole_path");
    }

    #[test]
    fn two_folders_in_one_window() {
        super::workbench::play("two_folders");
    }

    #[test]
    fn one_key_per_hunk_and_no_change_of_focus() {
        super::workbench::play("costs");
    }

    /// Prints milliseconds; takes minutes without optimisation.
    #[test]
    #[ignore = "a measurement: cargo nextest run --test editors --run-ignored only -E 'test(vscode::)' --no-capture"]
    fn two_thousand_hunks_and_a_file_of_fifty_thousand_lines() {
        super::workbench::play("large");
    }
}

mod helix {
    #[test]
    fn the_main_job_from_the_draft_to_the_saved_file() {
        super::hx::play();
    }
}

mod emacs {
    #[test]
    fn the_main_job_from_the_draft_to_the_saved_file() {
        super::eglot::play();
    }
}
