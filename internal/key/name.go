package key

// Canonical returns the name of a field as it counts here: letters as http.CanonicalHeaderKey
// spells them, and a dash for each byte that is neither a letter nor a digit. CGI, FastCGI and what
// is built on them make one character of all of these, so X_Forwarded_Host and X-Forwarded-Host are
// one variable to PHP (RFC 3875, 4.1.18). A name that is spelled so already, as those from net/http
// are, is returned as it is, without an allocation.
func Canonical(name string) string {
	first := true // of a part
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '-':
			first = true
			continue
		case isDigit(c):
		case c-'A' < 26 && first, c-'a' < 26 && !first:
		default:
			return respell(name)
		}
		first = false
	}
	return name
}

func respell(name string) string {
	b := []byte(name)
	first := true
	for i, c := range b {
		c = lower(c)
		switch {
		case isDigit(c):
			first = false
		case c-'a' >= 26:
			c, first = '-', true
		case first:
			c, first = c-'a'+'A', false
		}
		b[i] = c
	}
	return string(b)
}

func isDigit(c byte) bool { return c-'0' < 10 }
