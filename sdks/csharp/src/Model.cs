using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Newtonsoft.Json.Linq;

namespace Kampanje.Client
{
    /// <summary>
    /// An object of a request or response: a view of its JSON. A field that is not set is absent, a
    /// field that is set to null is null, and fields of later versions of the service are kept.
    /// </summary>
    public abstract class Model
    {
        private const string DateFormat = "yyyy-MM-dd";
        private const string TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'";

        /// <summary>Creates a view of an object.</summary>
        protected Model(JObject json)
        {
            Json = json ?? throw new ArgumentNullException("json");
        }

        /// <summary>
        /// The JSON of the object, with the fields that this version does not know.
        /// </summary>
        public JObject Json { get; }

        /// <summary>The headers of the response that the object came from, or null.</summary>
        public Meta Meta { get; internal set; }

        /// <summary>Returns true if the object has the field, even if it is null.</summary>
        public bool Has(string name)
        {
            return Json.Property(name) != null;
        }

        /// <summary>Returns true if both objects have the same type and the same fields.</summary>
        public override bool Equals(object other)
        {
            var model = other as Model;
            return model != null
                && model.GetType() == GetType()
                && JToken.DeepEquals(Json, model.Json);
        }

        /// <summary>Returns a hash of the fields.</summary>
        public override int GetHashCode()
        {
            return JToken.EqualityComparer.GetHashCode(Json);
        }

        /// <summary>Returns the JSON of the object.</summary>
        public override string ToString()
        {
            return Json.ToString(Newtonsoft.Json.Formatting.None);
        }

        internal T Get<T>(string name, Func<JToken, T> read)
            where T : class
        {
            var value = Json[name];
            return IsNull(value) ? null : read(value);
        }

        internal T? GetValue<T>(string name, Func<JToken, T> read)
            where T : struct
        {
            var value = Json[name];
            return IsNull(value) ? (T?)null : read(value);
        }

        /// <summary>Returns a list, which is empty if the field is absent or null.</summary>
        internal IReadOnlyList<T> GetList<T>(string name, Func<JToken, T> read)
        {
            var values = Json[name];
            return IsNull(values) ? new T[0] : values.Select(read).ToArray();
        }

        internal void Set(string name, object value)
        {
            Json[name] = ToJson(value);
        }

        internal bool Is(string discriminator, string value)
        {
            return Get(discriminator, ReadText) == value;
        }

        internal JObject Pick(params string[] names)
        {
            var result = new JObject();
            foreach (var name in names.Where(Has))
            {
                result[name] = Json[name].DeepClone();
            }

            return result;
        }

        internal static JToken ToJson(object value)
        {
            if (value == null)
            {
                return JValue.CreateNull();
            }

            if (value is JToken json)
            {
                return json;
            }

            if (value is Model model)
            {
                return model.Json;
            }

            if (value is bool || value is long)
            {
                return new JValue(value);
            }

            if (!(value is string) && value is IEnumerable values)
            {
                return new JArray(values.Cast<object>().Select(ToJson));
            }

            return new JValue(ToText(value));
        }

        /// <summary>Returns a value as paths, queries and texts of JSON contain it.</summary>
        internal static string ToText(object value)
        {
            if (value is bool flag)
            {
                return flag ? "true" : "false";
            }

            if (value is DateTime date)
            {
                return date.ToString(DateFormat, CultureInfo.InvariantCulture);
            }

            if (value is DateTimeOffset moment)
            {
                return moment.UtcDateTime.ToString(TimestampFormat, CultureInfo.InvariantCulture);
            }

            return Convert.ToString(value, CultureInfo.InvariantCulture);
        }

        internal static string ReadText(JToken value)
        {
            return (string)value;
        }

        internal static bool ReadBool(JToken value)
        {
            return (bool)value;
        }

        internal static long ReadLong(JToken value)
        {
            return (long)value;
        }

        internal static decimal ReadDecimal(JToken value)
        {
            return decimal.Parse(
                (string)value,
                NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint,
                CultureInfo.InvariantCulture);
        }

        internal static DateTime ReadDate(JToken value)
        {
            return DateTime.ParseExact(
                (string)value, DateFormat, CultureInfo.InvariantCulture, DateTimeStyles.None);
        }

        internal static DateTimeOffset ReadTimestamp(JToken value)
        {
            return DateTimeOffset.Parse(
                (string)value, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
        }

        internal static JObject ReadObject(JToken value)
        {
            return (JObject)value;
        }

        private static bool IsNull(JToken value)
        {
            return value == null || value.Type == JTokenType.Null;
        }
    }
}
