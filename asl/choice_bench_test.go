package asl

import "testing"

// BenchmarkChoice compares a Choice on a condition in JSONata with its like in
// JSONPath, the baseline.
func BenchmarkChoice(b *testing.B) {
	for _, tt := range []struct{ name, definition string }{
		{"JSONPath", states(`"S":{"Type":"Choice","Choices":[{"Variable":"$.order.total","NumericGreaterThan":100,"Next":"E"}],"Default":"E"},"E":{"Type":"Succeed"}`)},
		{"JSONata", inJSONata(`"S":{"Type":"Choice","Choices":[{"Condition":"{% $states.input.order.total > 100 %}","Next":"E"}],"Default":"E"},"E":{"Type":"Succeed"}`)},
	} {
		b.Run(tt.name, func(b *testing.B) {
			s := mustParse(b, tt.definition).Start
			sc := scope(b, `{"order":{"total":99,"items":[1,2,3]},"customer":"c"}`)
			f := &Frame{Input: sc.Input, Scope: *sc}
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := s.Fields.Choose(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
