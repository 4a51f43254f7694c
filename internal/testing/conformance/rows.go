package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// line is one header line; its value is bytes as they are on the wire.
type line struct{ name, value string }

// Interim is a 1xx response.
type Interim struct {
	Status int
	header []line
}

func (in *Interim) UnmarshalJSON(data []byte) error {
	parts, err := tuple(data, 1, 2)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(parts[0], &in.Status); err != nil || len(parts) == 1 {
		return err
	}
	var rows [][]string
	if err := json.Unmarshal(parts[1], &rows); err != nil {
		return err
	}
	for _, row := range rows {
		if len(row) != 2 {
			return fmt.Errorf("interim header %q: want a name and a value", row)
		}
		value, err := latin1(row[1])
		if err != nil {
			return err
		}
		in.header = append(in.header, line{row[0], value})
	}
	return nil
}

// statusLine is ["code", "phrase"]; zero when the case gives none.
type statusLine struct {
	code   int
	phrase string
}

func (s *statusLine) UnmarshalJSON(data []byte) error {
	parts, err := tuple(data, 2, 2)
	if err != nil {
		return err
	}
	return errors.Join(json.Unmarshal(parts[0], &s.code), json.Unmarshal(parts[1], &s.phrase))
}

// value is a text, or for the date fields a number of seconds from the origin's now.
type value struct {
	text    string
	delta   int
	isDelta bool
}

var dateFields = []string{"date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"}

func (v *value) parse(name string, data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var s string
		err := json.Unmarshal(data, &s)
		if err == nil {
			v.text, err = latin1(s)
		}
		return err
	}
	if err := json.Unmarshal(data, &v.delta); err != nil {
		return err
	}
	v.text, v.isDelta = strconv.Itoa(v.delta), slices.Contains(dateFields, strings.ToLower(name))
	return nil
}

// requestRow is [name, value].
type requestRow struct {
	name string
	value
}

func (f *requestRow) UnmarshalJSON(data []byte) error {
	parts, err := tuple(data, 2, 2)
	if err != nil {
		return err
	}
	return errors.Join(json.Unmarshal(parts[0], &f.name), f.parse(f.name, parts[1]))
}

// headerRow is [name, value] or [name, value, checked].
type headerRow struct {
	name string
	value
	unchecked bool // the client need not see it
}

func (f *headerRow) UnmarshalJSON(data []byte) error {
	parts, err := tuple(data, 2, 3)
	if err != nil {
		return err
	}
	if len(parts) == 3 {
		var checked bool
		if err := json.Unmarshal(parts[2], &checked); err != nil {
			return err
		}
		f.unchecked = !checked
	}
	return errors.Join(json.Unmarshal(parts[0], &f.name), f.parse(f.name, parts[1]))
}

type operator uint8

const (
	opPresent operator = iota // name
	opEqual                   // [name, value]
	opSame                    // [name, "=", other name]
	opGreater                 // [name, ">", number]
)

// expectation is what one header field must be.
type expectation struct {
	name string
	op   operator
	value
}

func (e *expectation) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &e.name)
	}
	parts, err := tuple(data, 2, 3)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(parts[0], &e.name); err != nil {
		return err
	}
	if len(parts) == 2 {
		e.op = opEqual
		return e.parse(e.name, parts[1])
	}
	var op string
	if err := json.Unmarshal(parts[1], &op); err != nil {
		return err
	}
	switch op {
	case "=":
		e.op = opSame
		return json.Unmarshal(parts[2], &e.text)
	case ">":
		e.op = opGreater
		return json.Unmarshal(parts[2], &e.delta)
	}
	return fmt.Errorf("%s: unknown operator %q", e.name, op)
}

// optional tells apart what is absent, null and given.
type optional[T any] struct {
	given, null bool
	value       T
}

func (o *optional[T]) UnmarshalJSON(data []byte) error {
	o.given = true
	if string(data) == "null" {
		o.null = true
		return nil
	}
	return json.Unmarshal(data, &o.value)
}

func tuple(data []byte, least, most int) ([]json.RawMessage, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil {
		return nil, err
	}
	if len(parts) < least || len(parts) > most {
		return nil, fmt.Errorf("%s: want %d to %d members", data, least, most)
	}
	return parts, nil
}

// latin1 turns text into the bytes that the suite's own origin and client put on the wire.
func latin1(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff || r == '\r' || r == '\n' || r == 0 {
			return "", fmt.Errorf("%q cannot be a field value", s)
		}
		b = append(b, byte(r))
	}
	return string(b), nil
}
