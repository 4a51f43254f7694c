package field

import "github.com/dunglas/httpsfv"

const (
	// MaxStructured is the longest structured field that is read, in bytes over all lines. A longer
	// one is ignored.
	MaxStructured = 64 << 10
	// MaxStrings and MaxStringLength bound what ParseStringList returns. They are the least that
	// RFC 9651, 3.1 and 3.3.3 require of a parser, and well above the 32 groups of 32 characters of
	// RFC 9875, 2.
	MaxStrings      = 1024
	MaxStringLength = 1024
)

// ParseTargeted reads a targeted field such as CDN-Cache-Control, a structured-field Dictionary
// (RFC 9213, 2.1). ok is false when the field must be treated as absent: it is empty or malformed,
// or a directive that we know has the wrong type.
//
// Deviation: a field that parses but has a wrong type is not ignored if it names no-store, no-cache
// or private. These three hold, in their strict form. Falling back to a laxer Cache-Control could
// share what the field meant to protect.
func ParseTargeted(lines []string) (cc CacheControl, ok bool) {
	if !readable(lines) {
		return CacheControl{}, false
	}
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dictionary.Names()) == 0 {
		return CacheControl{}, false
	}
	var s directiveSet
	typed := true
	for _, name := range dictionary.Names() {
		member, _ := dictionary.Get(name)
		typed = s.addTyped(lookup(name), member) && typed
	}
	cc = s.cacheControl()
	if !typed && !cc.NoStore && !cc.NoCache && !cc.Private {
		return CacheControl{}, false
	}
	return cc, true
}

// addTyped adds one directive of a targeted field and reports whether its value has the type that
// the directive takes.
func (s *directiveSet) addTyped(d directive, member httpsfv.Member) bool {
	if d == unknown {
		return true
	}
	item, _ := member.(httpsfv.Item)
	switch value := item.Value.(type) {
	case bool:
		if !value {
			return false // a type error, but it does not name the directive as true
		}
		if d >= withSeconds || d == maxStale {
			s.set(d)
			return true
		}
	case int64:
		if d < withSeconds {
			s.seconds[d] = Delta{Set: true, Valid: value >= 0, Value: saturated(max(0, value))}
			return true
		}
	case string:
		if s.names(d) != nil {
			s.qualify(d, value)
			return true
		}
	}
	s.condemn(d)
	return false
}

// ParseStringList reads a structured-field List of Strings, such as Cache-Groups and
// Cache-Group-Invalidation (RFC 9875, 2 and 3). Parameters are ignored. ok is false when the field
// is empty, malformed, has a member that is not a String, or exceeds MaxStrings or MaxStringLength:
// all or nothing.
func ParseStringList(lines []string) ([]string, bool) {
	if !readable(lines) {
		return nil, false
	}
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil || len(list) == 0 || len(list) > MaxStrings {
		return nil, false
	}
	texts := make([]string, 0, len(list))
	for _, member := range list {
		item, isItem := member.(httpsfv.Item)
		if !isItem {
			return nil, false
		}
		text, isString := item.Value.(string)
		if !isString || len(text) > MaxStringLength {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

func readable(lines []string) bool {
	total := 0
	for _, line := range lines {
		total += len(line)
	}
	return 0 < total && total <= MaxStructured
}
