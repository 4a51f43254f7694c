// Package mistake collects what is wrong with a configuration, so that all of it is reported at
// once.
package mistake

// A Mistake is one wrong field.
type Mistake struct {
	Field  string // the field's name, with the struct's where it is not Config
	Value  any    // what it was
	Reason string // what would be right
}

// A List holds mistakes in the order in which they were found. The zero value has none.
type List []Mistake

// Add adds a mistake.
func (l *List) Add(field string, value any, reason string) {
	*l = append(*l, Mistake{Field: field, Value: value, Reason: reason})
}
