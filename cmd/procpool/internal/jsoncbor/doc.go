// Package jsoncbor turns JSON into CBOR and CBOR into JSON, text to text and without
// values of Go in between, so that what a person typed reaches a worker as it is: the
// keys of objects keep their order, integers all their digits, and 1.0 stays a float.
//
// What JSON has no word for is written as is usual elsewhere: byte strings in base64,
// NaN and the infinities as the texts "NaN", "Infinity" and "-Infinity", keys of maps
// that are no texts as their JSON, typed arrays (RFC 8746, which is how numpy's arrays
// travel) as lists of numbers. Other tags are left out, and what they are around stays.
package jsoncbor
