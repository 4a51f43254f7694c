package assets

import (
	"io/fs"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// hashLength is the number of hex digits of a SHA-256 in a URL: 64 bits, far beyond accident among
// the files of one site.
const hashLength = 16

// maxName is the longest name that is considered, in bytes. File systems end at 4096.
const maxName = 1024

// validName reports whether name may be a file that is served: relative, clean, not hidden by a
// dot, and with nothing that some file system or proxy reads differently.
func validName(name string) bool {
	if name == "" || name == "." || len(name) > maxName || !fs.ValidPath(name) {
		return false
	}
	for i := range len(name) {
		// On Windows a backslash separates folders, and a colon names a drive or a stream.
		if c := name[i]; c < ' ' || c == 0x7f || c == '\\' || c == ':' {
			return false
		}
	}
	rest := strings.TrimPrefix(name, ".well-known/") // RFC 8615
	return rest != "" && rest[0] != '.' && !strings.Contains(rest, "/.")
}

// nameOf returns the name that a request asks for below prefix. ours is false for URLs outside the
// prefix; valid is false for names that no file has.
func nameOf(u *url.URL, prefix string) (name string, ours, valid bool) {
	name, ours = strings.CutPrefix(u.Path, prefix)
	if !ours {
		return "", false, false
	}
	// RawPath is set when the path was written in an unusual way. An encoded slash is part of a
	// name for some proxies and a separator for others: a proxy could be made to cache one file as
	// another.
	if raw := u.RawPath; raw != "" {
		for i := 0; i+2 < len(raw); i++ {
			if raw[i] != '%' {
				continue
			}
			switch strings.ToLower(raw[i+1 : i+3]) {
			case "2f", "5c", "00", "2e":
				return "", true, false
			}
		}
	}
	return name, true, utf8.ValidString(name) && validName(name)
}

// stem cuts name before the extension that a hash is put in front of: the last one, or that of its
// script for a source map.
func stem(name string) (before, ext string) {
	ext = path.Ext(name)
	if script := mapped(name); script != "" {
		ext = path.Ext(script) + ext
	}
	before = name[:len(name)-len(ext)]
	if before == "" || strings.HasSuffix(before, "/") {
		return name, ""
	}
	return before, ext
}

// mapped returns the script or stylesheet that the source map name belongs to, or "".
func mapped(name string) string {
	of, ok := strings.CutSuffix(name, ".map")
	if !ok {
		return ""
	}
	switch path.Ext(of) {
	case ".js", ".mjs", ".css":
		return of
	}
	return ""
}

// hashedName puts a hash into a name.
func hashedName(name, hash string) string {
	before, ext := stem(name)
	return before + "-" + hash + ext
}

// splitHashed takes a hash out of a name. It only says that the name has the form of one with a
// hash.
func splitHashed(hashed string) (name, hash string, ok bool) {
	before, ext := stem(hashed)
	at := len(before) - hashLength - 1
	if at < 1 || before[at] != '-' || before[at-1] == '/' || !isHash(before[at+1:]) {
		return "", "", false
	}
	return before[:at] + ext, before[at+1:], true
}

func isHash(s string) bool {
	if len(s) != hashLength {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// escape writes a name as the path of a URL.
func escape(name string) string {
	plain := true
	for i := range len(name) {
		c := name[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && c != '-' && c != '_' && c != '.' && c != '/' {
			plain = false
			break
		}
	}
	if plain {
		return name
	}
	segments := strings.Split(name, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}
