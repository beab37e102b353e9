import type { Texts } from "./en.ts";

export const tr: Texts = {
  mail: {
    code: {
      button: "Devam edin",
      orContinue: "Veya buradan devam edin:",
      validity:
        "Kod yalnızca bir kez kullanılabilir. İstek anından itibaren geçerlilik süresi: {{duration}}.",
      secrecy: "Kim isterse istesin, kodu asla kimseyle paylaşmayın.",
    },
    verification: {
      subject: "{{service}} için bu e-posta adresini doğrulama kodunuz",
      title: "E-posta adresinizi doğrulayın",
      intro: "{{service}} için bu e-posta adresini doğrulamak üzere şu kodu girin:",
      ignore:
        "Bu kodu siz istemediniz mi? O hâlde bu e-postayı dikkate almayabilirsiniz: kod olmadan hiçbir şey doğrulanmaz.",
    },
    login: {
      subject: "{{service}} için oturum açma kodunuz",
      title: "Oturum açma",
      intro: "{{service}} hizmetinde oturum açmak için şu kodu girin:",
      question: "Oturum açmayı siz denemediniz mi?",
      report: "Bunu yapanın siz olmadığınızı bildirin",
    },
    notice: {
      subject: "{{service}} hesabınızın e-posta adresleri değiştirildi",
      title: "Hesabınız değiştirildi",
      added: "{{service}} hesabınıza bir e-posta adresi eklendi.",
      verified:
        "{{service}} hesabınızdaki bir e-posta adresi doğrulandı ve artık kod almak için kullanılabilir.",
      removed: "{{service}} hesabınızdan bir e-posta adresi kaldırıldı.",
      when: "Tarih ve saat: {{time}}.",
      whenFrom: "Tarih ve saat: {{time}}, adres: {{client}}.",
      advice:
        "Bunu siz mi yaptınız? O hâlde bir şey yapmanıza gerek yok. Siz yapmadıysanız hizmeti yönetenlere hemen haber verin.",
    },
  },
  pages: {
    verify: {
      title: "E-posta adresinizi doğrulayın",
      intro: "Bu e-posta adresinin size ait olduğunu doğrulamak için düğmeye basın.",
      label: "E-postadaki kod",
      button: "Doğrula",
      empty:
        "Alan boş mu? O hâlde bu bağlantının kodu kullanılmış veya süresi dolmuş demektir. En yeni e-postanızdaki kodu girin ya da adresinizi girdiğiniz yerden yeni bir kod isteyin.",
      ignore:
        "Bunu siz istemediniz mi? O hâlde bu sayfayı kapatın: Düğmeye basılmadan hiçbir şey doğrulanmaz.",
      failed:
        "Bu işe yaramadı. Kod yanlış, kullanılmış veya süresi dolmuş olabilir. Kodu kontrol edin ya da yeni bir kod isteyip daha sonra yeniden deneyin.",
    },
    verified: {
      title: "E-posta adresiniz doğrulandı",
      text: "Bu sayfayı kapatıp adresi girdiğiniz yere dönebilirsiniz.",
    },
    login: {
      title: "Oturum açma kodunuz",
      intro: "Bu kodu oturum açmaya başladığınız yere girin:",
      gone: "Artık geçerli değil",
      warning: "Kim isterse istesin, kodu asla kimseye vermeyin.",
      question:
        "Oturum açmaya çalışmadınız mı? O hâlde bunu başka biri yaptı. Bu düğmeyle kod geçersiz olur.",
      button: "Bu ben değildim",
    },
    reported: {
      title: "Teşekkür ederiz",
      text: "Kod hâlâ geçerliyse artık geçerli değil.",
      warning: "Kodu birine verdiniz mi? O hâlde hizmeti işletenlere hemen haber verin.",
    },
    retry: {
      title: "Lütfen yeniden deneyin",
      text: "Şu anda işe yaramadı. Geri dönün ve biraz sonra yeniden deneyin.",
    },
  },
};
