//! Which address to speak to, and in which dialect, without touching the world.

use crate::protocol::config::AgentConfig;

/// Where Ollama listens unless it is told otherwise.
const OLLAMA: &str = "127.0.0.1:11434";

/// How an endpoint wants to be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Ollama's own interface, below `/api`.
    Ollama,
    /// As OpenAI's chat completions.
    OpenAi,
}

/// Where to find models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Ollama on this machine; the base without a slash at the end.
    Local(String),
    /// What the configuration says; asked first whether it is Ollama's own.
    Given {
        /// The base that chat completions are below.
        base: String,
        /// The base that Ollama's own interface would be below; none where the address cannot be Ollama's.
        ollama: Option<String>,
    },
}

impl Address {
    /// Returns the address of an agent; `host` is the value of `OLLAMA_HOST`.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the address.
    pub fn of(agent: &AgentConfig, host: Option<&str>) -> Result<Self, String> {
        let Some(url) = agent.url.as_deref().map(str::trim).filter(|url| !url.is_empty()) else {
            return Ok(Self::Local(ollama_base(host.unwrap_or_default())));
        };
        let parsed = reqwest::Url::parse(url).ok().filter(|parsed| matches!(parsed.scheme(), "http" | "https"));
        let Some(parsed) = parsed.filter(|parsed| parsed.host_str().is_some()) else {
            return Err(format!(
                "`url` of the agent, `{url}`: an address begins with http:// or https://, then a host"
            ));
        };
        let whole = url.split(['?', '#']).next().unwrap_or(url).trim_end_matches('/');
        let whole = whole.strip_suffix("/chat/completions").unwrap_or(whole).trim_end_matches('/');
        let bare = parsed.path().trim_matches('/').is_empty();
        let ollama = if bare {
            Some(whole)
        } else {
            ["/v1", "/api"].into_iter().find_map(|end| whole.strip_suffix(end)).filter(|rest| !rest.ends_with('/'))
        };
        // Every server of this kind has its interface below `/v1`.
        let base = if bare { format!("{whole}/v1") } else { whole.to_owned() };
        Ok(Self::Given { base, ollama: ollama.map(str::to_owned) })
    }
}

/// Returns the base for a value of `OLLAMA_HOST`: a host, a port, both, or an address; nothing stands for the default.
/// An address to listen on everywhere is reached on loopback.
fn ollama_base(host: &str) -> String {
    let host = host.trim().trim_matches(['"', '\'']).trim_end_matches('/');
    let (scheme, rest, default_port) = match host.split_once("://") {
        Some(("https", rest)) => ("https", rest, "443"),
        Some((_, rest)) => ("http", rest, "80"),
        None => ("http", host, "11434"),
    };
    let (rest, path) = rest.split_once('/').map_or((rest, String::new()), |(rest, path)| (rest, format!("/{path}")));
    if rest.is_empty() {
        return format!("{scheme}://{OLLAMA}");
    }
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']')) => {
            (name, port)
        }
        _ => (rest, default_port),
    };
    let name = match name {
        "" | "0.0.0.0" | "*" => "127.0.0.1".to_owned(),
        "::" | "[::]" => "[::1]".to_owned(),
        bare if bare.contains(':') && !bare.starts_with('[') => format!("[{bare}]"),
        name => name.to_owned(),
    };
    format!("{scheme}://{name}:{port}{path}")
}

/// Tells whether the address is on this machine, where no proxy helps and no wire can be listened to.
pub fn is_loopback(base: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(base) else { return false };
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|host| host.is_loopback()),
        None => false,
    }
}

/// Returns the address without a name and password in it, for texts.
pub fn shown(base: &str) -> String {
    match reqwest::Url::parse(base) {
        Ok(mut url) if url.password().is_some() || !url.username().is_empty() => {
            // They can only fail where there is no host.
            let _ = (url.set_username(""), url.set_password(None));
            url.as_str().trim_end_matches('/').to_owned()
        }
        _ => base.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_ollama_is_written_in_many_ways() {
        for (host, base) in [
            ("", "http://127.0.0.1:11434"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:1234", "http://127.0.0.1:1234"),
            (":1234", "http://127.0.0.1:1234"),
            ("box", "http://box:11434"),
            ("box:80", "http://box:80"),
            ("http://box", "http://box:80"),
            ("https://box/", "https://box:443"),
            ("https://box:8443/ollama/", "https://box:8443/ollama"),
            ("[::1]:1234", "http://[::1]:1234"),
            ("::1", "http://[::1]:11434"),
            ("[::]", "http://[::1]:11434"),
            (" \"127.0.0.1:9\" ", "http://127.0.0.1:9"),
        ] {
            assert_eq!(ollama_base(host), base, "{host:?}");
        }
    }

    #[test]
    fn addresses_are_completed() {
        for (url, base, ollama) in [
            ("http://localhost:11434", "http://localhost:11434/v1", Some("http://localhost:11434")),
            ("http://localhost:11434/", "http://localhost:11434/v1", Some("http://localhost:11434")),
            ("http://localhost:11434/v1/", "http://localhost:11434/v1", Some("http://localhost:11434")),
            ("http://localhost:11434/api", "http://localhost:11434/api", Some("http://localhost:11434")),
            (
                "https://api.example.com/v1/chat/completions",
                "https://api.example.com/v1",
                Some("https://api.example.com"),
            ),
            ("https://example.com/api/v1beta/openai/", "https://example.com/api/v1beta/openai", None),
        ] {
            let agent = AgentConfig { url: Some(url.into()), ..AgentConfig::default() };
            let expected = Address::Given { base: base.into(), ollama: ollama.map(str::to_owned) };
            assert_eq!(Address::of(&agent, Some("ignored")), Ok(expected), "{url}");
        }
        for url in ["localhost:11434", "ftp://example.com", "http://"] {
            let agent = AgentConfig { url: Some(url.into()), ..AgentConfig::default() };
            let error = Address::of(&agent, None).expect_err(url);
            assert!(error.contains(url), "{error}");
        }
        let local = Address::of(&AgentConfig::default(), Some("box"));
        assert_eq!(local, Ok(Address::Local("http://box:11434".into())));
    }

    #[test]
    fn names_and_passwords_are_not_shown() {
        assert_eq!(shown("http://me:secret@box:1/v1"), "http://box:1/v1");
        assert_eq!(shown("http://box:1/v1"), "http://box:1/v1");
        assert!(is_loopback("http://127.0.0.2:1") && is_loopback("http://[::1]:1") && !is_loopback("http://10.0.0.1"));
    }
}
