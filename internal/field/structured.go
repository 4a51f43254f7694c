package field

import "github.com/dunglas/httpsfv"

const (
	// MaxStructured is the longest structured field in bytes over all lines that is read. A longer one is ignored.
	MaxStructured = 64 << 10
	// MaxStrings and MaxStringLength bound what ParseStringList returns. They are the least that RFC 9651, 3.1 and 3.3.3
	// ask of a parser and well above the 32 groups of 32 characters of RFC 9875, 2.
	MaxStrings      = 1024
	MaxStringLength = 1024
)

// ParseTargeted reads a targeted field such as CDN-Cache-Control, a structured-field Dictionary (RFC 9213, 2.1). ok is
// false when the field is to be treated as absent: empty, not parseable, or a directive that we know has the wrong type.
//
// Deviation: a field of wrong types that parses and names no-store, no-cache or private is not ignored; these three hold, in
// their strict form. Falling back to a laxer Cache-Control could share what the field meant to keep apart.
func ParseTargeted(lines []string) (cc CacheControl, ok bool) {
	if !readable(lines) {
		return CacheControl{}, false
	}
	dictionary, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil || len(dictionary.Names()) == 0 {
		return CacheControl{}, false
	}
	typed := true
	for _, name := range dictionary.Names() {
		member, _ := dictionary.Get(name)
		typed = cc.addTyped(lookup(name), member) && typed
	}
	cc.settle()
	if !typed && !cc.NoStore && !cc.NoCache && !cc.Private {
		return CacheControl{}, false
	}
	return cc, true
}

// addTyped adds one directive of a targeted field and reports whether its value has the type that the directive takes.
func (cc *CacheControl) addTyped(known directive, member httpsfv.Member) bool {
	if known == unknown {
		return true
	}
	item, isItem := member.(httpsfv.Item)
	if !isItem {
		cc.condemn(known)
		return false
	}
	switch value := item.Value.(type) {
	case bool:
		// ?0 is a type error, but does not say the word.
		return value && cc.addFlag(known)
	case int64:
		if target := cc.delta(known); target != nil {
			*target = Delta{Set: true, Valid: value >= 0, Value: saturated(max(0, value))}
			return true
		}
	case string:
		switch known {
		case noCache:
			cc.NoCache = true
			qualifyNames(&cc.NoCacheFields, &cc.noCacheAll, value)
			return true
		case private:
			cc.Private = true
			qualifyNames(&cc.PrivateFields, &cc.privateAll, value)
			return true
		}
	}
	cc.condemn(known)
	return false
}

// addFlag sets a directive that came without a value and reports whether it may.
func (cc *CacheControl) addFlag(known directive) bool {
	switch known {
	case immutable:
		cc.Immutable = true
	case maxStale:
		cc.MaxStaleAny = true
	case mustRevalidate:
		cc.MustRevalidate = true
	case mustUnderstand:
		cc.MustUnderstand = true
	case onlyIfCached:
		cc.OnlyIfCached = true
	case proxyRevalidate:
		cc.ProxyRevalidate = true
	case public:
		cc.Public = true
	case noCache, noStore, noTransform, private:
		cc.condemn(known)
	default:
		cc.condemn(known)
		return false
	}
	return true
}

// delta returns where the seconds of a directive go, nil if it takes none.
func (cc *CacheControl) delta(known directive) *Delta {
	switch known {
	case maxAge:
		return &cc.MaxAge
	case sharedMaxAge:
		return &cc.SharedMaxAge
	case staleWhileRevalidate:
		return &cc.StaleWhileRevalidate
	case staleIfError:
		return &cc.StaleIfError
	case minFresh:
		return &cc.MinFresh
	case maxStale:
		return &cc.MaxStale
	}
	return nil
}

// ParseStringList reads a structured-field List of Strings, as Cache-Groups and Cache-Group-Invalidation are
// (RFC 9875, 2 and 3). Parameters are ignored. ok is false when the field is empty, not parseable, has a member that is
// no String, or exceeds MaxStrings or MaxStringLength: all or nothing.
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
