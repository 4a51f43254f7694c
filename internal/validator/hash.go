package validator

import (
	"encoding"
	"encoding/binary"
	"hash"
	"math"
	"reflect"
	"time"
)

// hashPart writes the kind, the length and the content of a part, so that no two lists of parts
// write the same bytes. It reports whether it can hash the part.
func hashPart(sum hash.Hash, part any) bool {
	v := reflect.ValueOf(part)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		if _, ok := v.Interface().(encoding.TextMarshaler); ok {
			break
		}
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return write(sum, 'n', nil)
	}
	switch t := v.Interface().(type) {
	case time.Time:
		return writeTime(sum, t)
	case *time.Time:
		return writeTime(sum, *t)
	case encoding.TextMarshaler:
		text, err := t.MarshalText()
		return err == nil && write(sum, 't', text)
	}
	switch {
	case v.Kind() == reflect.String:
		return write(sum, 's', []byte(v.String()))
	case v.Kind() == reflect.Bool && v.Bool():
		return write(sum, 'b', []byte{1})
	case v.Kind() == reflect.Bool:
		return write(sum, 'b', []byte{0})
	case v.CanInt():
		return write(sum, 'i', binary.BigEndian.AppendUint64(nil, uint64(v.Int())))
	case v.CanUint():
		return write(sum, 'u', binary.BigEndian.AppendUint64(nil, v.Uint()))
	case v.CanFloat():
		return write(sum, 'f', binary.BigEndian.AppendUint64(nil, math.Float64bits(v.Float())))
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return write(sum, 's', v.Bytes())
	case v.Kind() == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8:
		content := make([]byte, v.Len())
		for i := range content {
			content[i] = byte(v.Index(i).Uint())
		}
		return write(sum, 's', content)
	}
	return false
}

func writeTime(sum hash.Hash, t time.Time) bool {
	content := binary.BigEndian.AppendUint64(nil, uint64(t.Unix()))
	return write(sum, 'T', binary.BigEndian.AppendUint32(content, uint32(t.Nanosecond())))
}

func write(sum hash.Hash, kind byte, content []byte) bool {
	sum.Write(binary.BigEndian.AppendUint64([]byte{kind}, uint64(len(content))))
	sum.Write(content)
	return true
}
