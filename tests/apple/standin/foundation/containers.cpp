// tests/apple/standin/foundation/containers.cpp -- NSArray, NSDictionary, NSData and their enumerator
#include "standin/debug/report.h"
#include "standin/foundation/foundation.h"

namespace standin {
namespace {

struct Enumerator : Object {
  static constexpr const char* kClass = "NSEnumerator";
  std::vector<Ref<Object>> items;
  size_t next = 0;

  Object* next_object() { return next < items.size() ? items[next++].get() : nullptr; }
};

const bool defined_enumerator = define_class("NSEnumerator", {method<&Enumerator::next_object>("nextObject")});

void append(Array* array, Object* const* objects, UInteger count) {
  for (UInteger i = 0; i < count; ++i) {
    if (!objects[i]) report("argument", "nil in an NSArray");
    check_object(objects[i], "NSObject", "element of an NSArray");
    array->items.push_back(objects[i]);
  }
}

struct ArrayMethods : Array {
  Array* init_with(Object* const* objects, UInteger count) {
    append(this, objects, count);
    return this;
  }
  UInteger size() { return items.size(); }
  Object* at(UInteger index) {
    if (index >= items.size()) {
      report("argument", format("object %lu of an NSArray of %zu", index, items.size()));
      return nullptr;
    }
    return items[index].get();
  }
  Enumerator* enumerate() {
    auto* made = create_autoreleased<Enumerator>();
    made->items = items;
    return made;
  }
  Object* copy() {
    retain(this);
    return this;
  }
};

Array* array_of(Object* const* objects, UInteger count) {
  auto* made = create_autoreleased<Array>();
  append(made, objects, count);
  return made;
}
Array* empty_array() { return array_of(nullptr, 0); }
Array* array_of_one(Object* object) { return array_of(&object, 1); }

using A = ArrayMethods;
const bool defined_array = define_class(
    "NSArray",
    {method<&A::init_with>("initWithObjects:count:"), method<&A::size>("count"), method<&A::at>("objectAtIndex:"),
     method<&A::enumerate>("objectEnumerator"), method<&A::copy>("copy")},
    {allocates<Array>(), class_method<&empty_array>("array"), class_method<&array_of_one>("arrayWithObject:"),
     class_method<&array_of>("arrayWithObjects:count:")});

void insert(Dictionary* dictionary, Object* const* objects, Object* const* keys, UInteger count) {
  for (UInteger i = 0; i < count; ++i) {
    if (!check_object(keys[i], "NSString", "key of an NSDictionary")) continue;
    check_object(objects[i], "NSObject", "value of an NSDictionary");
    dictionary->items[static_cast<String*>(keys[i])->text] = objects[i];
  }
}

struct DictionaryMethods : Dictionary {
  Dictionary* init_with(Object* const* objects, Object* const* keys, UInteger count) {
    insert(this, objects, keys, count);
    return this;
  }
  UInteger size() { return items.size(); }
  Object* at(const String* key) {
    const auto it = items.find(key->text);
    return it == items.end() ? nullptr : it->second.get();
  }
  Enumerator* enumerate_keys() {
    auto* made = create_autoreleased<Enumerator>();
    for (const auto& [key, value] : items) made->items.push_back(string(key));
    return made;
  }
  Object* copy() {
    retain(this);
    return this;
  }
};

Dictionary* dictionary_of(Object* const* objects, Object* const* keys, UInteger count) {
  auto* made = create_autoreleased<Dictionary>();
  insert(made, objects, keys, count);
  return made;
}
Dictionary* empty_dictionary() { return dictionary_of(nullptr, nullptr, 0); }
Dictionary* dictionary_of_one(Object* object, Object* key) { return dictionary_of(&object, &key, 1); }

using D = DictionaryMethods;
const bool defined_dictionary = define_class(
    "NSDictionary",
    {method<&D::init_with>("initWithObjects:forKeys:count:"), method<&D::size>("count"),
     method<&D::at>("objectForKey:"), method<&D::enumerate_keys>("keyEnumerator"), method<&D::copy>("copy")},
    {allocates<Dictionary>(), class_method<&empty_dictionary>("dictionary"),
     class_method<&dictionary_of_one>("dictionaryWithObject:forKey:"),
     class_method<&dictionary_of>("dictionaryWithObjects:forKeys:count:")});

struct DataMethods : Data {
  void* contents() { return bytes.data(); }
  UInteger size() { return bytes.size(); }
};

const bool defined_data =
    define_class("NSData", {method<&DataMethods::contents>("mutableBytes"), method<&DataMethods::contents>("bytes"),
                            method<&DataMethods::size>("length")});

}  // namespace

std::string Array::describe() const {
  std::string text;
  for (const auto& item : items) text += (text.empty() ? "(" : ", ") + item->describe();
  return (text.empty() ? "(" : text) + ")";
}

}  // namespace standin
