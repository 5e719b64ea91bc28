//! Our own agent, on Ollama and on an endpoint that speaks as OpenAI does. Its reports are tools of its own, and it says
//! so to a model that runs the command instead.

/// With Ollama's own API.
mod ollama {
    use crate::bench::cases;
    use crate::bench::subjects::OLLAMA as SUBJECT;

    features! { SUBJECT:
        reports_by_tool, plans, goes_through_the_whole_loop, stops, stops_when_the_model_hangs, keeps_to_a_budget, hears;
        survives("overloaded");
    }

    runs! { SUBJECT:
        asks;
        is_blocked;
        approves;
        finds;
        is_fenced("");
        runs_out_of_time(15);
    }

    bounds! { SUBJECT:
        hang_before: Idle(5);
        hang_mid: Idle(5);
        runaway: Tokens(1000);
    }

    failures! { SUBJECT:
        no_model: [ModelUnavailable];
        bad_request: [Crashed, InvalidOutput];
        internal: [Overloaded];
        html: [Overloaded, Network];
        unavailable: [Overloaded];
        overloaded: [Overloaded];
        max_tokens: [ContextExhausted, InvalidOutput];
        dropped: [Network];
        malformed: [Network, InvalidOutput];
        truncated: [Network, InvalidOutput];
        empty: [Network, InvalidOutput];
    }
}

/// With OpenAI's chat completions.
mod openai {
    use crate::bench::cases;
    use crate::bench::subjects::{CLAUDE, OPENAI as SUBJECT};

    features! { SUBJECT:
        reports_by_tool, plans, goes_through_the_whole_loop, stops, stops_when_the_model_hangs, keeps_to_a_budget, hears;
        survives("overloaded");
    }

    runs! { SUBJECT:
        asks;
        is_blocked;
        approves;
        finds;
        gives_way(&CLAUDE);
        waits(false);
        is_fenced("");
        runs_out_of_time(15);
    }

    bounds! { SUBJECT:
        hang_before: Idle(5);
        hang_mid: Idle(5);
        runaway: Tokens(1000);
    }

    failures! { SUBJECT:
        rate: [RateLimited];
        rate_long: [RateLimited], lifts LONG_SECONDS;
        insufficient: [RateLimited, Auth];
        unauthorized: [Auth];
        forbidden: [Auth];
        no_model: [ModelUnavailable];
        billing: [Auth, RateLimited];
        quota: [RateLimited], lifts QUOTA_SECONDS;
        context: [ContextExhausted];
        stream_context: [ContextExhausted];
        bad_request: [Crashed, InvalidOutput];
        internal: [Overloaded];
        html: [Overloaded, Network];
        unavailable: [Overloaded];
        stream_overloaded: [Overloaded];
        stream_quota: [RateLimited, Auth];
        max_tokens: [ContextExhausted, InvalidOutput];
        overloaded: [Overloaded];
        dropped: [Network];
        malformed: [Network, InvalidOutput];
        truncated: [Network, InvalidOutput];
        empty: [Network, InvalidOutput];
    }
}
