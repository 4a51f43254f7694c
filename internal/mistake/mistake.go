// Package mistake collects the mistakes in a configuration, so that they are reported all at once.
package mistake

// A Mistake is one field with a wrong value. It has the fields of the public ConfigError.
type Mistake struct {
	Field  string // the field's name, with its struct's name if that is not Config
	Value  any    // the value that is wrong
	Reason string // what would be right
}

// A List holds mistakes in the order in which they were found. The zero value is empty.
type List []Mistake

// Add adds a mistake in field, whose value is wrong. reason says what would be right.
func (l *List) Add(field string, value any, reason string) {
	*l = append(*l, Mistake{Field: field, Value: value, Reason: reason})
}
