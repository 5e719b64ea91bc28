//! How comments and strings look in each language, chosen by the file's name.

/// A block comment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub open: &'static str,
    pub close: &'static str,
    pub nested: bool,
    /// Only at the start of a line, such as `=begin` of Ruby.
    pub line_start: bool,
}

/// A string; the first rule whose opening fits is taken, so longer ones come first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quote {
    pub open: &'static str,
    pub close: &'static str,
    /// A backslash protects the next character.
    pub escape: bool,
    /// It may span lines; otherwise it ends with its line at the latest.
    pub multiline: bool,
}

/// What a family of languages needs beside comments and quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quirk {
    /// `'a'` is a character, `'a` is not: a lifetime, symbol or type variable.
    CharOrTick,
    /// `r#"…"#` with any number of hashes.
    RustRaw,
    /// `R"x(…)x"`.
    CppRaw,
    /// Templates in backticks with code in `${…}`, and regular expressions.
    JavaScript,
    /// `<<EOF`; the line with only that word ends it.
    HereDocument,
    /// The line comment counts only after a blank or at the start of the line.
    BlankBefore,
    /// A quote counts only after a blank or an opening bracket.
    QuoteAfterBlank,
    /// `--[==[ … ]==]` and `[==[ … ]==]`.
    LuaLong,
    /// The line comment counts only as the first thing of a line.
    LineStart,
}

#[derive(Debug)]
pub(super) struct Syntax {
    pub line: &'static [&'static str],
    pub blocks: &'static [Block],
    pub quotes: &'static [Quote],
    pub quirks: &'static [Quirk],
}

impl Syntax {
    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}

const fn block(open: &'static str, close: &'static str) -> Block {
    Block { open, close, nested: false, line_start: false }
}

const fn nested(open: &'static str, close: &'static str) -> Block {
    Block { open, close, nested: true, line_start: false }
}

const fn section(open: &'static str, close: &'static str) -> Block {
    Block { open, close, nested: false, line_start: true }
}

const fn text(quote: &'static str) -> Quote {
    Quote { open: quote, close: quote, escape: true, multiline: false }
}

const fn long(quote: &'static str) -> Quote {
    Quote { open: quote, close: quote, escape: true, multiline: true }
}

const fn raw(open: &'static str, close: &'static str) -> Quote {
    Quote { open, close, escape: false, multiline: true }
}

const C_BLOCK: &[Block] = &[block("/*", "*/")];
const TEXTS: &[Quote] = &[text("\""), text("'")];

static RUST: Syntax = Syntax {
    line: &["//"],
    blocks: &[nested("/*", "*/")],
    quotes: &[long("\"")],
    quirks: &[Quirk::CharOrTick, Quirk::RustRaw],
};
static C: Syntax = Syntax { line: &["//"], blocks: C_BLOCK, quotes: TEXTS, quirks: &[Quirk::CppRaw] };
static CSHARP: Syntax = Syntax {
    line: &["//"],
    blocks: C_BLOCK,
    quotes: &[raw("\"\"\"", "\"\"\""), raw("@\"", "\""), raw("$@\"", "\""), text("\""), text("'")],
    quirks: &[],
};
static JAVA: Syntax =
    Syntax { line: &["//"], blocks: C_BLOCK, quotes: &[long("\"\"\""), text("\""), text("'")], quirks: &[] };
static KOTLIN: Syntax = Syntax {
    line: &["//"],
    blocks: &[nested("/*", "*/")],
    quotes: &[raw("\"\"\"", "\"\"\""), raw("#\"", "\"#"), text("\"")],
    quirks: &[Quirk::CharOrTick],
};
static GO: Syntax =
    Syntax { line: &["//"], blocks: C_BLOCK, quotes: &[raw("`", "`"), text("\""), text("'")], quirks: &[] };
static JS: Syntax = Syntax { line: &["//"], blocks: C_BLOCK, quotes: TEXTS, quirks: &[Quirk::JavaScript] };
static PHP: Syntax = Syntax {
    line: &["//", "#"],
    blocks: C_BLOCK,
    quotes: &[long("\""), long("'")],
    quirks: &[Quirk::HereDocument, Quirk::BlankBefore],
};
static CSS: Syntax = Syntax { line: &[], blocks: C_BLOCK, quotes: TEXTS, quirks: &[] };
static SCSS: Syntax = Syntax { line: &["//"], blocks: C_BLOCK, quotes: TEXTS, quirks: &[Quirk::BlankBefore] };
static PYTHON: Syntax =
    Syntax { line: &["#"], blocks: &[], quotes: &[long("\"\"\""), long("'''"), text("\""), text("'")], quirks: &[] };
static RUBY: Syntax = Syntax {
    line: &["#"],
    blocks: &[section("=begin", "=end")],
    quotes: &[long("\""), long("'"), long("`")],
    quirks: &[Quirk::HereDocument, Quirk::BlankBefore],
};
static PERL: Syntax = Syntax {
    line: &["#"],
    blocks: &[section("=pod", "=cut"), section("=head", "=cut")],
    quotes: &[long("\""), long("'")],
    quirks: &[Quirk::HereDocument, Quirk::BlankBefore, Quirk::QuoteAfterBlank],
};
static SHELL: Syntax = Syntax {
    line: &["#"],
    blocks: &[],
    quotes: &[long("\""), raw("'", "'")],
    quirks: &[Quirk::HereDocument, Quirk::BlankBefore],
};
static HASH: Syntax = Syntax { line: &["#"], blocks: &[], quotes: TEXTS, quirks: &[Quirk::BlankBefore] };
static YAML: Syntax =
    Syntax { line: &["#"], blocks: &[], quotes: TEXTS, quirks: &[Quirk::BlankBefore, Quirk::QuoteAfterBlank] };
static TOML: Syntax = Syntax {
    line: &["#"],
    blocks: &[],
    quotes: &[long("\"\"\""), raw("'''", "'''"), text("\""), text("'")],
    quirks: &[],
};
static ELIXIR: Syntax =
    Syntax { line: &["#"], blocks: &[], quotes: &[long("\"\"\""), long("\"")], quirks: &[Quirk::BlankBefore] };
static JULIA: Syntax = Syntax {
    line: &["#"],
    blocks: &[nested("#=", "=#")],
    quotes: &[long("\"\"\""), long("\"")],
    quirks: &[Quirk::CharOrTick],
};
static POWERSHELL: Syntax = Syntax {
    line: &["#"],
    blocks: &[block("<#", "#>")],
    quotes: &[raw("\"", "\""), raw("'", "'")],
    quirks: &[Quirk::BlankBefore],
};
static NIX: Syntax =
    Syntax { line: &["#"], blocks: C_BLOCK, quotes: &[raw("''", "''"), long("\"")], quirks: &[Quirk::BlankBefore] };
static HCL: Syntax = Syntax {
    line: &["#", "//"],
    blocks: C_BLOCK,
    quotes: &[text("\"")],
    quirks: &[Quirk::HereDocument, Quirk::BlankBefore],
};
static LUA: Syntax = Syntax { line: &["--"], blocks: &[], quotes: TEXTS, quirks: &[Quirk::LuaLong] };
static SQL: Syntax = Syntax { line: &["--"], blocks: C_BLOCK, quotes: &[raw("'", "'"), raw("\"", "\"")], quirks: &[] };
static DASHES: Syntax =
    Syntax { line: &["--"], blocks: &[], quotes: &[text("\"")], quirks: &[Quirk::CharOrTick, Quirk::BlankBefore] };
static HASKELL: Syntax = Syntax {
    line: &["--"],
    blocks: &[nested("{-", "-}")],
    quotes: &[text("\"")],
    quirks: &[Quirk::CharOrTick, Quirk::BlankBefore],
};
static OCAML: Syntax =
    Syntax { line: &[], blocks: &[nested("(*", "*)")], quotes: &[long("\"")], quirks: &[Quirk::CharOrTick] };
static FSHARP: Syntax = Syntax {
    line: &["//"],
    blocks: &[nested("(*", "*)")],
    quotes: &[raw("\"\"\"", "\"\"\""), long("\"")],
    quirks: &[Quirk::CharOrTick],
};
static MARKUP: Syntax = Syntax { line: &[], blocks: &[block("<!--", "-->")], quotes: &[], quirks: &[] };
static LISP: Syntax = Syntax {
    line: &[";"],
    blocks: &[nested("#|", "|#")],
    quotes: &[raw("#\\\"", ""), raw("?\\\"", ""), long("\"")],
    quirks: &[],
};
static VIM: Syntax = Syntax { line: &["\""], blocks: &[], quotes: &[], quirks: &[Quirk::LineStart] };
static PERCENT: Syntax = Syntax { line: &["%"], blocks: &[], quotes: &[raw("\\%", "")], quirks: &[] };
static ERLANG: Syntax = Syntax { line: &["%"], blocks: &[], quotes: &[long("\"")], quirks: &[Quirk::BlankBefore] };
static INI: Syntax = Syntax { line: &[";", "#"], blocks: &[], quotes: &[], quirks: &[Quirk::LineStart] };

/// Returns the syntax for a path by its last component; none for languages we do not know.
pub(super) fn of_path(path: &str) -> Option<&'static Syntax> {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path).to_ascii_lowercase();
    match name.as_str() {
        "makefile" | "gnumakefile" | "dockerfile" | "containerfile" | "justfile" | "cmakelists.txt" => {
            return Some(&HASH);
        }
        "rakefile" | "gemfile" | "vagrantfile" => return Some(&RUBY),
        ".bashrc" | ".zshrc" | ".profile" | ".bash_profile" => return Some(&SHELL),
        ".vimrc" => return Some(&VIM),
        ".gitignore" | ".gitattributes" | ".dockerignore" => return Some(&INI),
        _ => {}
    }
    Some(match name.rsplit_once('.')?.1 {
        "rs" => &RUST,
        "c" | "h" | "cc" | "cpp" | "cxx" | "c++" | "hh" | "hpp" | "hxx" | "ino" | "m" | "mm" | "cu" | "proto"
        | "glsl" | "hlsl" | "wgsl" | "zig" | "sol" | "d" | "v" | "sv" => &C,
        "cs" => &CSHARP,
        "java" | "groovy" | "gradle" | "dart" => &JAVA,
        "kt" | "kts" | "scala" | "sc" | "swift" => &KOTLIN,
        "go" => &GO,
        "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" => &JS,
        "json5" | "jsonc" => &C,
        "php" => &PHP,
        "css" => &CSS,
        "scss" | "less" | "sass" => &SCSS,
        "py" | "pyi" | "pyx" | "bzl" | "star" => &PYTHON,
        "rb" | "rake" | "gemspec" => &RUBY,
        "pl" | "pm" | "t" => &PERL,
        "sh" | "bash" | "zsh" | "fish" | "ksh" => &SHELL,
        "yaml" | "yml" => &YAML,
        "toml" => &TOML,
        "r" | "mk" | "cmake" | "conf" | "awk" | "tcl" | "graphql" | "gql" | "nim" | "dockerfile" => &HASH,
        "ex" | "exs" => &ELIXIR,
        "jl" => &JULIA,
        "ps1" | "psm1" => &POWERSHELL,
        "nix" => &NIX,
        "tf" | "hcl" => &HCL,
        "lua" => &LUA,
        "sql" => &SQL,
        "adb" | "ads" | "vhd" | "vhdl" => &DASHES,
        "hs" | "lhs" | "elm" | "purs" => &HASKELL,
        "ml" | "mli" => &OCAML,
        "fs" | "fsi" | "fsx" => &FSHARP,
        "html" | "htm" | "xhtml" | "xml" | "svg" | "md" | "markdown" | "vue" | "svelte" => &MARKUP,
        "lisp" | "lsp" | "cl" | "el" | "clj" | "cljs" | "cljc" | "edn" | "scm" | "ss" | "rkt" => &LISP,
        "vim" => &VIM,
        "tex" | "sty" | "cls" | "bib" => &PERCENT,
        "erl" | "hrl" => &ERLANG,
        "ini" | "cfg" | "properties" => &INI,
        _ => return None,
    })
}
