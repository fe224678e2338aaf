package jsonata

// bucket is one key of a group-by: the items that have it.
type bucket struct {
	data item
	pair int
}

// group evaluates {key: value, …} over the items of in: items with the same
// key become one value.
func (ev *evaluator) group(pairs [][2]*expr, pos int, in item, env *frame) (item, error) {
	tupled := in.has(tuples)
	items := []item{in}
	if in.kind == array {
		if items = in.elems(); len(items) == 0 {
			items = []item{nothing}
		}
	}
	if len(items) == 1 && !tupled {
		return ev.construct(pairs, pos, items[0], env)
	}
	keys := newObject(len(pairs))
	var buckets []bucket
	for _, x := range items {
		context, frame := x, env
		if tupled {
			context, _ = x.get("@")
			frame = env.within(x)
		}
		for i := range pairs {
			key, err := ev.key(pairs[i][0], pos, context, frame)
			if err != nil {
				return nothing, err
			}
			if key.kind == undefined {
				continue
			}
			at := keys.find(key.str)
			switch {
			case at < 0:
				keys.set(key.str, ofNumber(float64(len(buckets))))
				buckets = append(buckets, bucket{x, i})
			case buckets[at].pair != i:
				return nothing, failAt("D1009", pos, nil).of(key)
			default:
				if buckets[at].data, err = ev.join(buckets[at].data, x); err != nil {
					return nothing, err
				}
			}
		}
	}
	return ev.collect(pairs, keys, buckets, tupled, env)
}

// collect evaluates the value of each bucket.
func (ev *evaluator) collect(pairs [][2]*expr, keys *node, buckets []bucket, tupled bool, env *frame) (item, error) {
	keys.order()
	out := newObject(len(buckets))
	for i, name := range keys.keys {
		b := buckets[int(keys.elems[i].num)]
		context, frame := b.data, env
		if tupled {
			t, err := ev.reduce(b.data)
			if err != nil {
				return nothing, err
			}
			context, _ = t.get("@")
			frame = env.within(t)
		}
		x, err := ev.eval(pairs[b.pair][1], context, frame)
		if err != nil {
			return nothing, err
		}
		if x.kind != undefined {
			out.set(name, x)
		}
	}
	return item{kind: object, node: out}, ev.grow(len(out.keys), len(out.keys))
}

// construct is group over a single item.
func (ev *evaluator) construct(pairs [][2]*expr, pos int, in item, env *frame) (item, error) {
	out := newObject(len(pairs))
	from := make([]int, 0, len(pairs))
	for i := range pairs {
		key, err := ev.key(pairs[i][0], pos, in, env)
		if err != nil {
			return nothing, err
		}
		if key.kind == undefined {
			continue
		}
		if out.find(key.str) >= 0 {
			return nothing, failAt("D1009", pos, nil).of(key)
		}
		out.set(key.str, nothing)
		from = append(from, i)
	}
	for i, pair := range from {
		x, err := ev.eval(pairs[pair][1], in, env)
		if err != nil {
			return nothing, err
		}
		out.elems[i] = x
	}
	for i := len(out.keys) - 1; i >= 0; i-- {
		if out.elems[i].kind == undefined {
			out.remove(out.keys[i])
		}
	}
	return out.object(), ev.grow(len(out.keys), len(out.keys))
}

func (ev *evaluator) key(e *expr, pos int, in item, env *frame) (item, error) {
	if e.form == formString && e.predicates == nil {
		return e.constant, nil
	}
	key, err := ev.eval(e, in, env)
	if err == nil && key.kind != text && key.kind != undefined {
		return nothing, failAt("T1003", pos, nil).of(key)
	}
	return key, err
}
