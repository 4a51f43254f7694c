package key

import "strings"

// isFragment reports whether the request field with this canonical name lets a script ask for a
// part of a page, or refines that. A library's next field will have the same prefix as today's, so
// prefixes count, not a list of names: a part must not be served as the page.
func isFragment(name string) bool {
	switch name[0] {
	case 'B':
		return isOrBegins(name, "Barba")
	case 'D':
		return isOrBegins(name, "Datastar")
	case 'F':
		return isOrBegins(name, "Fx") // fixi
	case 'H':
		return isOrBegins(name, "Hx") // htmx
	case 'N':
		return isOrBegins(name, "Next") // Next.js
	case 'R':
		return isOrBegins(name, "Rsc")
	case 'T':
		return isOrBegins(name, "Turbo-Frame")
	case 'X':
		if len(name) < len("X-Up") || name[1] != '-' {
			return false
		}
		switch rest := name[2:]; rest[0] {
		case 'A':
			return isOrBegins(rest, "Alpine")
		case 'B':
			return isOrBegins(rest, "Barba")
		case 'I':
			return isOrBegins(rest, "Inertia") || isOrBegins(rest, "Ic") // intercooler
		case 'L':
			return isOrBegins(rest, "Livewire")
		case 'P':
			return isOrBegins(rest, "Pjax")
		case 'R':
			return isOrBegins(rest, "Requested-With")
		case 'U':
			return isOrBegins(rest, "Up") // Unpoly
		}
	}
	return false
}

// isOrBegins reports whether a name is word, or begins with it and a dash.
func isOrBegins(name, word string) bool {
	return strings.HasPrefix(name, word) && (len(name) == len(word) || name[len(word)] == '-')
}
