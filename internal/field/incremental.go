package field

import "github.com/dunglas/httpsfv"

// IsIncremental reports whether the lines of the field Incremental ask that a message is forwarded
// as it arrives: a structured field, of type Item, whose value is true. Its parameters, and values
// of other types, are ignored (RFC 10036, 3).
func IsIncremental(lines []string) bool {
	if len(lines) == 0 || !readable(lines) {
		return false
	}
	item, err := httpsfv.UnmarshalItem(lines)
	yes, isBool := item.Value.(bool)
	return err == nil && isBool && yes
}
